"""What is compared: model classes (`models/`) and training algorithms (`algorithms/`)."""
