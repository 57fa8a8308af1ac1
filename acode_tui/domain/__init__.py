"""What a run is: entities, states, rules, ids, time and errors. Pure: no I/O, no drivers."""
