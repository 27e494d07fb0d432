//go:build unix

package disk

import "syscall"

// nonblock makes an open return at once that would wait for the other end of a named pipe. A file it leaves as it is,
// and spares the attempt to poll it.
const nonblock = syscall.O_NONBLOCK
