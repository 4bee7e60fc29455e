package keystore

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"log/slog"
	"strings"
	"sync"
)

// identity selects the client certificate for a server.
type identity struct {
	*watched[tls.Certificate]
	log *slog.Logger

	mu     sync.Mutex // guards the fields below
	warned string     // the last logged reason not to send it
}

// choose returns the certificate; like Java, none if the server lists issuers that do not match, since it may be
// optional.
func (i *identity) choose(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c := i.get()
	s := i.latest()
	if err := s.validNow(s.aliasOf(c.Leaf), c.Leaf); err != nil {
		return nil, err
	}
	if err := request.SupportsCertificate(&c); err != nil {
		i.warn("the key store has no certificate of an issuer that the server accepts; sending none", "store",
			s.description, "certificate", c.Leaf.Subject.String(), "issuer", c.Leaf.Issuer.String(),
			"issuers that the server takes", subjects(request.AcceptableCAs), "reason", err.Error())
		return &tls.Certificate{}, nil
	}
	return &c, nil
}

// warn logs a warning once for consecutive equal reasons. The reason is the last of args.
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

// subjects formats the first names of issuers.
func subjects(raw [][]byte) string {
	const maxNames = 5
	var texts []string
	for _, der := range raw[:min(maxNames, len(raw))] {
		var name pkix.RDNSequence
		if _, err := asn1.Unmarshal(der, &name); err == nil {
			texts = append(texts, name.String())
		}
	}
	if len(raw) > maxNames {
		texts = append(texts, "...")
	}
	return strings.Join(texts, "; ")
}
