package keystore

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"log/slog"
	"strings"
	"sync"
)

// identity answers a server that asks for a certificate.
type identity struct {
	*watched[tls.Certificate]
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	warned string     // the last reason not to send it, logged once
}

// choose returns the certificate; none when the server names issuers and it is from another one, as Java does: such a
// server may do without.
func (i *identity) choose(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c := i.get()
	s := i.latest()
	if err := s.validNow(s.aliasOf(c.Leaf), c.Leaf); err != nil {
		return nil, err
	}
	if err := request.SupportsCertificate(&c); err != nil {
		i.warn("the server asks for a certificate that the key store does not have, none is sent", "store", s.description,
			"certificate", c.Leaf.Subject.String(),
			"issuer", c.Leaf.Issuer.String(), "issuers that the server takes", subjects(request.AcceptableCAs),
			"reason", err.Error())
		return &tls.Certificate{}, nil
	}
	return &c, nil
}

func (i *identity) warn(text string, args ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	reason, _ := args[len(args)-1].(string)
	if reason == i.warned {
		return
	}
	i.warned = reason
	i.log.Warn(text, args...)
}

// subjects spells the names of issuers, some of many.
func subjects(raw [][]byte) string {
	const most = 5
	var texts []string
	for _, der := range raw[:min(most, len(raw))] {
		var name pkix.RDNSequence
		if _, err := asn1.Unmarshal(der, &name); err == nil {
			texts = append(texts, name.String())
		}
	}
	if len(raw) > most {
		texts = append(texts, "...")
	}
	return strings.Join(texts, "; ")
}
