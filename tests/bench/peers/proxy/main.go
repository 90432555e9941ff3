// Command proxy is the peer that the program is compared with: the plain TCP proxy that Go's standard library makes
// easy. io.Copy between two TCP connections is splice(2) on Linux, so no byte passes through user space.
//
// With TLS_FILES=FOLDER in its environment it is the plain TLS proxy instead: crypto/tls with server.crt and server.key,
// and with client certificates of ca.crt if TLS_MUTUAL is set.
//
// Usage: proxy LISTEN_HOST:PORT BACKEND_HOST:PORT
package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// stream is a connection of which one side can end before the other.
type stream interface {
	net.Conn
	CloseWrite() error
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	config := tlsConfig()
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		if config == nil {
			go serve(conn.(*net.TCPConn), os.Args[2])
		} else {
			go serve(tls.Server(conn, config), os.Args[2])
		}
	}
}

func tlsConfig() *tls.Config {
	folder := os.Getenv("TLS_FILES")
	if folder == "" {
		return nil
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(folder, "server.crt"), filepath.Join(folder, "server.key"))
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{"h2"}}
	if os.Getenv("TLS_MUTUAL") != "" {
		authority, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
		if err != nil {
			log.Fatal(err)
		}
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(authority)
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config
}

func serve(downstream stream, address string) {
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

func pass(to, from stream) {
	io.Copy(to, from)
	to.CloseWrite()
}
