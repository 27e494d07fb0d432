-- Removes rows from a hash. ARGV: items.
for _, item in ipairs(ARGV) do redis.call('HDEL', KEYS[1], item) end
if redis.call('PTTL', KEYS[1]) == -1 then finish(KEYS[1]) end
