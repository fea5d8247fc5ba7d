-- Gives sold stock back: it can be had again. Of the counts alone, since a sold basket is not kept here.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2]     basket, "<shop>/<basket>"
-- ARGV[3]     what is given back, "<stock>=<quantity> …"
-- Outcomes:   restocked
count(ARGV[2], ARGV[3], 'sold', -1)

write_rows()
return { 'restocked' }
