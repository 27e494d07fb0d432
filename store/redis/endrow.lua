-- Has the key of a hash that does not expire do so with the last of its rows, unless one of them never does.
local function finish(key)
	local last = 0
	for i, value in ipairs(redis.call('HGETALL', key)) do
		local ends = i % 2 == 0 and tonumber(string.sub(value, 1, 15))
		if ends == 0 then return end
		last = math.max(last, ends or 0)
	end
	if last > 0 then redis.call('PEXPIREAT', key, string.format('%.0f', last)) end
end

