-- Reads the hold of a basket as it was admitted.
-- KEYS[1]     hold of the basket
-- Outcomes:   the hold as text | false
return redis.call('GET', KEYS[1])
