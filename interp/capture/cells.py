"""The handler of torch's cell functions, one step of a recurrent layer each."""
