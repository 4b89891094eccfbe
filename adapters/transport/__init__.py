"""The shared wire layer of the billers that speak HTTP: one careful caller, and code tables read from data."""
