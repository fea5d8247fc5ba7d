-- Reads stock rows.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2...]  rows, "<shop>/<stock>"
-- Outcomes:   rows, then one text a row, empty for one that is not known
local texts = { 'rows' }
for i = 2, #ARGV do
  texts[#texts + 1] = redis.call('HGET', KEYS[3], ARGV[i]) or ''
end
return texts
