// The part of a kubelet that serves "pods/portforward": the API server's requests come over HTTPS, and the streams are
// served by the library that kubelet, containerd and CRI-O use. It asks the API server for the pods' addresses, and
// copies as containerd does (internal/cri/server/sandbox_portforward_linux.go), only that it dials the pod's address
// where containerd dials "localhost" in the pod's network.
//
//	kubelet-streaming -listen ADDR:PORT -api URL -token TOKEN
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
)

func main() {
	listen := flag.String("listen", "", "the kubelet's address")
	api := flag.String("api", "", "the API server's URL")
	token := flag.String("token", "", "a token that may read pods")
	flag.Parse()
	certificate, err := selfSigned()
	if err != nil {
		log.Fatal(err)
	}
	pods := &pods{api: *api, token: *token, client: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}}
	server := &http.Server{
		Addr:      *listen,
		Handler:   handler(pods),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		// Upgrades need HTTP/1.1.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	log.Printf("listening on %s", *listen)
	log.Fatal(server.ListenAndServeTLS("", ""))
}

// handler serves /portForward/NAMESPACE/POD, as the kubelet does.
func handler(forwarder portforward.PortForwarder) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		parts := strings.Split(strings.TrimPrefix(req.URL.Path, "/portForward/"), "/")
		if !strings.HasPrefix(req.URL.Path, "/portForward/") || len(parts) < 2 {
			http.NotFound(w, req)
			return
		}
		options, err := portforward.NewV4Options(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		config := streaming.DefaultConfig
		portforward.ServePortForward(w, req, forwarder, parts[0]+"/"+parts[1], "", options,
			config.StreamIdleTimeout, config.StreamCreationTimeout, config.SupportedPortForwardProtocols)
	})
}

type pods struct {
	api, token string
	client     *http.Client
}

// PortForward serves one connection. The name is NAMESPACE/POD.
func (p *pods) PortForward(ctx context.Context, name, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	address, err := p.addressOf(name)
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(address, fmt.Sprint(port)))
	if err != nil {
		return fmt.Errorf("failed to connect to localhost:%d inside namespace %q: %w", port, name, err)
	}
	defer conn.Close()
	ended := make(chan error, 2)
	go func() {
		_, err := io.Copy(stream, conn)
		ended <- err
	}()
	go func() {
		_, err := io.Copy(conn, stream)
		ended <- err
	}()
	first := <-ended
	select {
	case second := <-ended:
		if first == nil {
			first = second
		}
	case <-time.After(time.Second):
	}
	return first
}

func (p *pods) addressOf(name string) (string, error) {
	namespace, pod, _ := strings.Cut(name, "/")
	req, err := http.NewRequest(http.MethodGet, p.api+"/api/v1/namespaces/"+namespace+"/pods/"+pod, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := p.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var body struct {
		Status struct {
			PodIP string `json:"podIP"`
		} `json:"status"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return "", err
	}
	if body.Status.PodIP == "" {
		return "", fmt.Errorf("pod %q has no address (HTTP %d)", name, resp.StatusCode)
	}
	return body.Status.PodIP, nil
}

// selfSigned makes a certificate as the kubelet makes its own: the API server verifies it only where it is told to.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"node-1"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
