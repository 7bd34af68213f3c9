//go:build !linux

package dimse

import "net"

// quickAck does nothing where the kernel has no such setting.
func quickAck(net.Conn) func() { return func() {} }
