-- Puts an entry into a sorted set. ARGV: item, expiry in ms (0: never), condition.
local key, item, expires, condition = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
if condition ~= 'always' then
	local old = redis.call('ZSCORE', key, item)
	if condition == 'present' and not old then return 0 end
	if condition == 'absent' and old and tonumber(old) >= tonumber(now) then return 0 end
end
redis.call('ZADD', key, expires == '0' and '+inf' or expires, item)
local gone = redis.call('ZRANGEBYSCORE', key, '-inf', '(' .. now, 'LIMIT', 0, 16) -- a few each time: nobody is to wait
for _, item in ipairs(gone) do redis.call('ZREM', key, item) end
finish(key)
return 1
