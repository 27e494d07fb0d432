package larder

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync"

	"github.com/larder-go/larder/store"
)

// tlsReading makes a tls.ConnectionState of a stored connection when it is first needed.
type tlsReading struct {
	once  sync.Once
	whole tls.ConnectionState
}

func (t *tlsReading) state(c *store.Connection) *tls.ConnectionState {
	if c == nil {
		return nil
	}
	t.once.Do(func() {
		t.whole = tls.ConnectionState{Version: c.Version, HandshakeComplete: true, CipherSuite: c.CipherSuite,
			ServerName: c.ServerName, NegotiatedProtocol: c.Protocol}
		for _, der := range c.Certificates {
			if cert, err := parseCertificate(der); err == nil {
				t.whole.PeerCertificates = append(t.whole.PeerCertificates, cert)
			}
		}
	})
	return cloneState(&t.whole)
}

// cloneState returns a copy that the caller may change.
func cloneState(t *tls.ConnectionState) *tls.ConnectionState {
	if t == nil {
		return nil
	}
	s := *t
	s.PeerCertificates = slices.Clone(s.PeerCertificates)
	return &s
}

// certificates caches parsed certificates: a store holds many responses from few origins.
var certificates struct {
	sync.Mutex
	byDER map[string]*x509.Certificate
}

const maxCertificates = 256

func parseCertificate(der []byte) (*x509.Certificate, error) {
	certificates.Lock()
	defer certificates.Unlock()
	if cert := certificates.byDER[string(der)]; cert != nil {
		return cert, nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if certificates.byDER == nil || len(certificates.byDER) >= maxCertificates {
		certificates.byDER = make(map[string]*x509.Certificate)
	}
	certificates.byDER[string(der)] = cert
	return cert, nil
}
