//go:build !linux && !darwin

package proxy

import "net"

func boundUnsent(*net.TCPConn) {}
