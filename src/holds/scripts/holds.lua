-- Reads holds.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2...]  baskets, "<shop>/<basket>"
-- Outcomes:   holds, then one text a basket, empty for one that is not known
local texts = { 'holds' }
for i = 2, #ARGV do
  texts[#texts + 1] = redis.call('HGET', KEYS[2], ARGV[i]) or ''
end
return texts
