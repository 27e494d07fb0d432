-- Has the key of a sorted set expire with the last of its entries, and never if one of them does not.
local function finish(key)
	local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2] -- a string, with Dragonfly a number
	if last == 'inf' or last == math.huge then
		redis.call('PERSIST', key)
	elseif last then
		redis.call('PEXPIREAT', key, string.format('%.0f', last))
	end
end

