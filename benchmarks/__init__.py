"""How a trial is run: plan, train, evaluate, store, launch, mirror."""
