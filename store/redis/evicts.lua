-- Reports whether this server may drop what has not expired. If the user may not ask, it may.
local memory = redis.pcall('INFO', 'memory')
if type(memory) == 'string' and string.find(memory, 'maxmemory_policy:noeviction', 1, true) then return 0 end
return 1
