// Command backend is what the proxies of the benchmark stand in front of. The first byte of a connection chooses what
// it does: 'e' sends back what follows, 's' swallows it and answers with its length (8 bytes) at the FIN, 'd' sends for
// as many nanoseconds as the 8 bytes that follow say, and at the end how many bytes that were (8 bytes). 'P', as
// HTTP/2 begins, is answered with empty SETTINGS and swallowed, and the time is noted. 'q' is answered with how many of
// those there were, and when the first, the middle and the last one came, in microseconds since 1970: four numbers as
// text.
//
// Usage: backend HOST:PORT
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"sync"
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
	case 'P':
		arrivals.note(time.Now())
		conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
		io.Copy(io.Discard, conn)
	case 'q':
		fmt.Fprint(conn, arrivals.text())
	}
}

// arrivals are those of the first bytes of HTTP/2.
var arrivals times

type times struct {
	mutex sync.Mutex
	all   []time.Time
}

func (t *times) note(at time.Time) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.all = append(t.all, at)
}

func (t *times) text() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if len(t.all) == 0 {
		return "0 0 0 0"
	}
	sorted := slices.SortedFunc(slices.Values(t.all), time.Time.Compare)
	at := func(n int) int64 { return sorted[n].UnixMicro() }
	return fmt.Sprint(len(sorted), at(0), at(len(sorted)/2), at(len(sorted)-1))
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
