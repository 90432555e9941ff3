// Command load is the client of the benchmark: it loads what listens at an address, in one of several ways, and prints
// how many units passed in a second, and how many in all.
//
// Usage:
//
//	load up HOST:PORT SECONDS CONNS        streams to a sink: bytes
//	load down HOST:PORT SECONDS CONNS      streams from a source: bytes
//	load pingpong HOST:PORT SECONDS CONNS  64 bytes there and back on each connection: round trips
//	load connect HOST:PORT SECONDS CONNS   connect, echo, close, so many at a time: sessions
//	load sessions HOST:PORT COUNT CONNS    the same, so many sessions in all: sessions
//	load idle HOST:PORT COUNT BYTES        opens sessions, sends and gets back so many bytes on each, prints "ready" and
//	                                       keeps them until its standard input ends
//	load resets HOST:PORT SECONDS RATE     as many connections a second that are reset at once, and beside them honest
//	                                       ones, 50 a second: how many of each, how many of those failed, and the median,
//	                                       the 99th percentile and the maximum of connect + echo in ms
//	load held HOST:PORT COUNT              what a BuildKit client says before its first answer, on so many connections: prints
//	                                       "ready" when all are held and keeps them until its standard input ends
//
// With TLS_FILES=FOLDER in its environment it speaks TLS, with client.crt and client.key, and trusts ca.crt.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	bufferBytes  = 256 << 10
	messageBytes = 64
)

func main() {
	mode, address := os.Args[1], os.Args[2]
	switch mode {
	case "up":
		fmt.Println(together(address, seconds(3), number(4), up))
	case "down":
		fmt.Println(together(address, seconds(3), number(4), down))
	case "pingpong":
		fmt.Println(pingPong(address, seconds(3), number(4)))
	case "connect":
		fmt.Println(connect(address, seconds(3), 0, number(4)))
	case "sessions":
		fmt.Println(connect(address, 0, number(3), number(4)))
	case "resets":
		fmt.Println(resets(address, seconds(3), number(4)))
	case "idle":
		keep(number(3), func() net.Conn { return idle(address, number(4)) })
	case "held":
		keep(number(3), func() net.Conn { return held(address) })
	default:
		log.Fatalf("Cannot run %q", mode)
	}
}

func number(at int) int {
	n, err := strconv.Atoi(os.Args[at])
	must(err)
	return n
}

func seconds(at int) time.Duration {
	n, err := strconv.ParseFloat(os.Args[at], 64)
	must(err)
	return time.Duration(n * float64(time.Second))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// stream is a connection of which one side can end before the other.
type stream interface {
	net.Conn
	CloseWrite() error
}

var tlsConfig = sync.OnceValue(func() *tls.Config {
	folder := os.Getenv("TLS_FILES")
	if folder == "" {
		return nil
	}
	authority, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	own, err := tls.LoadX509KeyPair(filepath.Join(folder, "client.crt"), filepath.Join(folder, "client.key"))
	must(err)
	return &tls.Config{
		RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"}, Certificates: []tls.Certificate{own},
	}
})

func dial(address string, opening []byte) stream {
	conn, err := net.Dial("tcp", address)
	must(err)
	var ready stream = conn.(*net.TCPConn)
	if config := tlsConfig(); config != nil {
		ready = tls.Client(conn, config)
	}
	_, err = ready.Write(opening)
	must(err)
	return ready
}

// together runs streams side by side and counts the time until the last one has ended.
func together(address string, duration time.Duration, conns int, run func(string, time.Duration) uint64) (float64, int64) {
	var bytes atomic.Int64
	var workers sync.WaitGroup
	began := time.Now()
	for range conns {
		workers.Go(func() { bytes.Add(int64(run(address, duration))) })
	}
	workers.Wait()
	return figures(began, bytes.Load())
}

// figures are what is printed: the rate, and the count.
func figures(began time.Time, count int64) (float64, int64) {
	return float64(count) / time.Since(began).Seconds(), count
}

// up ends when the sink has confirmed the last byte.
func up(address string, duration time.Duration) uint64 {
	conn := dial(address, []byte{'s'})
	defer conn.Close()
	buffer := make([]byte, bufferBytes)
	began := time.Now()
	var sent uint64
	for time.Since(began) < duration {
		n, err := conn.Write(buffer)
		must(err)
		sent += uint64(n)
	}
	must(conn.CloseWrite())
	var length [8]byte
	_, err := io.ReadFull(conn, length[:])
	must(err)
	if got := binary.BigEndian.Uint64(length[:]); got != sent {
		log.Fatalf("%d bytes were sent and %d arrived", sent, got)
	}
	return sent
}

// down asks for a time's worth of bytes. The last 8 of them say how many came before.
func down(address string, duration time.Duration) uint64 {
	conn := dial(address, binary.BigEndian.AppendUint64([]byte{'d'}, uint64(duration)))
	defer conn.Close()
	buffer := make([]byte, bufferBytes)
	var got uint64
	var end []byte
	for {
		n, err := conn.Read(buffer)
		got += uint64(n)
		end = append(end, buffer[max(0, n-8):n]...)
		end = end[max(0, len(end)-8):]
		if err == io.EOF {
			break
		}
		must(err)
	}
	if len(end) < 8 || binary.BigEndian.Uint64(end) != got-8 {
		log.Fatalf("%d bytes arrived, with %x at their end", got, end)
	}
	return got
}

func pingPong(address string, duration time.Duration, conns int) (float64, int64) {
	all := make([]stream, conns)
	for i := range all {
		all[i] = dial(address, []byte{'e'})
		defer all[i].Close()
		exchange(all[i], make([]byte, messageBytes))
	}
	var trips atomic.Int64
	var workers sync.WaitGroup
	began := time.Now()
	for _, conn := range all {
		workers.Go(func() {
			message := make([]byte, messageBytes)
			var n int64
			for time.Since(began) < duration {
				exchange(conn, message)
				n++
			}
			trips.Add(n)
		})
	}
	workers.Wait()
	return figures(began, trips.Load())
}

func exchange(conn net.Conn, message []byte) {
	_, err := conn.Write(message)
	must(err)
	_, err = io.ReadFull(conn, message)
	must(err)
}

// connect ends after a time, or after a count if there is one.
func connect(address string, duration time.Duration, count, conns int) (float64, int64) {
	var begun, ended atomic.Int64
	var workers sync.WaitGroup
	began := time.Now()
	more := func() bool {
		if count > 0 {
			return begun.Add(1) <= int64(count)
		}
		return time.Since(began) < duration
	}
	for range conns {
		workers.Go(func() {
			message := make([]byte, messageBytes)
			for more() {
				conn := dial(address, []byte{'e'})
				exchange(conn, message)
				// The other side closes last, so that its end of the session is over, too.
				must(conn.CloseWrite())
				if n, err := conn.Read(message); n != 0 || err != io.EOF {
					log.Fatalf("Want the end of the stream, found %d bytes, %v", n, err)
				}
				conn.Close()
				ended.Add(1)
			}
		})
	}
	workers.Wait()
	return figures(began, ended.Load())
}

const honestRate = 50

// An honest client gives up after this.
const honestLimit = 30 * time.Second

func resets(address string, duration time.Duration, rate int) string {
	until := time.Now().Add(duration)
	var sent atomic.Int64
	var senders, clients sync.WaitGroup
	// Several at a time, since each waits for its connection.
	const at = 8
	for i := 0; i < at; i++ {
		senders.Add(1)
		go func() {
			defer senders.Done()
			due := time.Now()
			for time.Now().Before(until) {
				if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
					conn.(*net.TCPConn).SetLinger(0)
					conn.Close()
					sent.Add(1)
				}
				due = due.Add(time.Second * at / time.Duration(rate))
				time.Sleep(time.Until(due))
			}
		}()
	}
	var mutex sync.Mutex
	var took []time.Duration
	failed := 0
	ticker := time.NewTicker(time.Second / honestRate)
	for time.Now().Before(until) {
		<-ticker.C
		clients.Add(1)
		go func() {
			defer clients.Done()
			start := time.Now()
			err := honest(address)
			mutex.Lock()
			defer mutex.Unlock()
			took = append(took, time.Since(start))
			if err != nil {
				failed++
			}
		}()
	}
	senders.Wait()
	clients.Wait()
	sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
	ms := func(at int) float64 { return float64(took[at].Microseconds()) / 1000 }
	return fmt.Sprintf("%d %d %d %.1f %.1f %.1f", sent.Load(), len(took), failed,
		ms(len(took)/2), ms(len(took)*99/100), ms(len(took)-1))
}

func honest(address string) error {
	conn, err := net.DialTimeout("tcp", address, honestLimit)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(honestLimit))
	message := make([]byte, messageBytes)
	if _, err := conn.Write(append([]byte{'e'}, message...)); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, message)
	return err
}

// keep opens a few connections at a time: more than the kernel queues would only measure their retries.
func keep(count int, open func() net.Conn) {
	all := make([]net.Conn, count)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(count); i = next.Add(1) - 1 {
				all[i] = open()
			}
		})
	}
	workers.Wait()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	for _, conn := range all {
		conn.Close()
	}
}

func idle(address string, size int) net.Conn {
	conn := dial(address, []byte{'e'})
	message := make([]byte, size)
	go conn.Write(message)
	_, err := io.ReadFull(conn, message)
	must(err)
	return conn
}

// held sends the HTTP/2 client preface, an empty SETTINGS frame, its acknowledgement of the server's, and a call.
func held(address string) net.Conn {
	settings := []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}
	conn := dial(address, append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), settings...))
	_, err := io.ReadFull(conn, make([]byte, len(settings)))
	must(err)
	_, err = conn.Write(append([]byte{0, 0, 0, 4, 1, 0, 0, 0, 0}, call()...))
	must(err)
	return conn
}

// call is a frame of HEADERS, in literals without indexing, and an empty gRPC message that ends the stream.
func call() []byte {
	var block []byte
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/moby.buildkit.v1.Control/Info"},
		{":authority", "localhost"}, {"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		block = append(block, 0)
		for _, text := range field {
			block = append(append(block, byte(len(text))), text...)
		}
	}
	frames := append([]byte{0, 0, byte(len(block)), 1, 4, 0, 0, 0, 1}, block...)
	return append(frames, 0, 0, 5, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0)
}
