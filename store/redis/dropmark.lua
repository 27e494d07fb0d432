-- Removes entries from a sorted set. ARGV: items.
for _, item in ipairs(ARGV) do redis.call('ZREM', KEYS[1], item) end
finish(KEYS[1])
