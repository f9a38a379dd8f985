"""Short scripts: arguments, one or two library calls, a result. Copy them and change them."""
