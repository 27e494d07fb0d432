package errno

import "syscall"

// Windows has numbers of its own. What package syscall calls by these names there, no call ever returns.
const (
	ECONNABORTED = syscall.WSAECONNABORTED
	ECONNREFUSED = syscall.Errno(10061) // WSAECONNREFUSED
	ECONNRESET   = syscall.WSAECONNRESET
	EHOSTUNREACH = syscall.Errno(10065) // WSAEHOSTUNREACH
	ENETUNREACH  = syscall.Errno(10051) // WSAENETUNREACH
	EPIPE        = syscall.Errno(232)   // ERROR_NO_DATA: the reader has closed the pipe
)
