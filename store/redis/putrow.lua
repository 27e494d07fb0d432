-- Puts a row into a hash. ARGV: item, expiry in ms (0: never), value, condition.
local key, item, expires, value, condition = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if condition == 'present' then
	if redis.call('HEXISTS', key, item) == 0 then return 0 end
elseif condition == 'absent' then
	local old = redis.call('HGET', key, item)
	if old then
		local ends, now = tonumber(string.sub(old, 1, 15)), redis.call('TIME')
		if ends == 0 or ends and ends >= now[1] * 1000 + now[2] / 1000 then return 0 end
	end
end
local left = redis.call('PTTL', key) -- -2: there is no key, -1: it does not expire
redis.call('HSET', key, item, value)
if expires == '0' then
	redis.call('PERSIST', key)
elseif left == -2 then
	redis.call('PEXPIREAT', key, expires)
elseif left >= 0 then
	redis.call('PEXPIREAT', key, expires, 'GT')
elseif string.find(key, ':r:{', 1, true) then -- what never ended may be this row; the rows of a body are many, and end together
	finish(key)
end
return 1
