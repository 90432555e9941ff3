// Command backend is what the proxies of the benchmark stand in front of. The first byte of a connection chooses what
// it does: 'e' sends back what follows, 's' swallows it and answers with its length (8 bytes) at the FIN, 'd' sends for
// as many nanoseconds as the 8 bytes that follow say, and at the end how many bytes that were (8 bytes).
//
// Usage: backend HOST:PORT
package main

import (
	"encoding/binary"
	"io"
	"log"
	"net"
	"os"
	"time"
)

const bufferBytes = 256 << 10

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(conn.(*net.TCPConn))
	}
}

func serve(conn *net.TCPConn) {
	defer conn.Close()
	var mode [1]byte
	if _, err := io.ReadFull(conn, mode[:]); err != nil {
		return
	}
	switch mode[0] {
	case 'e':
		echo(conn)
	case 's':
		sink(conn)
	case 'd':
		source(conn)
	}
}

func echo(conn *net.TCPConn) {
	// Small, so that thousands of idle connections cost this process next to nothing.
	buffer := make([]byte, 4<<10)
	for {
		n, err := conn.Read(buffer)
		if n > 0 {
			if _, err := conn.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func sink(conn *net.TCPConn) {
	buffer := make([]byte, bufferBytes)
	var sum uint64
	for {
		n, err := conn.Read(buffer)
		sum += uint64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return
		}
	}
	conn.Write(binary.BigEndian.AppendUint64(nil, sum))
}

func source(conn *net.TCPConn) {
	var duration [8]byte
	if _, err := io.ReadFull(conn, duration[:]); err != nil {
		return
	}
	buffer := make([]byte, bufferBytes)
	until := time.Now().Add(time.Duration(binary.BigEndian.Uint64(duration[:])))
	var sum uint64
	for time.Now().Before(until) {
		n, err := conn.Write(buffer)
		sum += uint64(n)
		if err != nil {
			return
		}
	}
	conn.Write(binary.BigEndian.AppendUint64(nil, sum))
}
