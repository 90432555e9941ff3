// Command proxy is the peer that the program is compared with: the plain TCP proxy that Go's standard library makes
// easy. io.Copy between two TCP connections is splice(2) on Linux, so no byte passes through user space.
//
// Usage: proxy LISTEN_HOST:PORT BACKEND_HOST:PORT
package main

import (
	"io"
	"log"
	"net"
	"os"
	"sync"
)

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
		go serve(conn.(*net.TCPConn), os.Args[2])
	}
}

func serve(downstream *net.TCPConn, address string) {
	defer downstream.Close()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		log.Print(err)
		return
	}
	upstream := conn.(*net.TCPConn)
	defer upstream.Close()
	var directions sync.WaitGroup
	directions.Go(func() { pass(upstream, downstream) })
	directions.Go(func() { pass(downstream, upstream) })
	directions.Wait()
}

func pass(to, from *net.TCPConn) {
	io.Copy(to, from)
	to.CloseWrite()
}
