local arguments = {}
for i = 4, #ARGV do arguments[#arguments + 1] = ARGV[i] end
return OPERATIONS[ARGV[2]](unpack(arguments))
