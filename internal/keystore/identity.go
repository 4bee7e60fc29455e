package keystore

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"log/slog"
	"strings"
	"sync"
)

// identity is the client's key and certificate.
type identity struct {
	*watched[tls.Certificate]
	log *slog.Logger

	mu         sync.Mutex // guards the fields below
	lastReason string     // of the last logged warning
}

// choose returns the certificate or, as Java does, an empty one if the server lists other issuers.
func (i *identity) choose(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c := i.get()
	s := i.latest()
	if err := s.checkValidity(s.aliasOf(c.Leaf), c.Leaf); err != nil {
		return nil, err
	}
	if err := request.SupportsCertificate(&c); err != nil {
		const maxNames = 5 // of issuers
		var texts []string
		for _, der := range request.AcceptableCAs[:min(maxNames, len(request.AcceptableCAs))] {
			var name pkix.RDNSequence
			if _, err := asn1.Unmarshal(der, &name); err == nil {
				texts = append(texts, name.String())
			}
		}
		if len(request.AcceptableCAs) > maxNames {
			texts = append(texts, "...")
		}
		i.warn("the key store has no certificate of an issuer that the server accepts; sending none", "store",
			s.description, "certificate", c.Leaf.Subject.String(), "issuer", c.Leaf.Issuer.String(),
			"issuers that the server takes", strings.Join(texts, "; "), "reason", err.Error())
		return &tls.Certificate{}, nil
	}
	return &c, nil
}

// warn logs a warning once for consecutive equal reasons. The reason is the last of args.
func (i *identity) warn(text string, args ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	reason, _ := args[len(args)-1].(string)
	if reason == i.lastReason {
		return
	}
	i.lastReason = reason
	i.log.Warn(text, args...)
}
