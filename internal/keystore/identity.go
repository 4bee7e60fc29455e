package keystore

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"sync"
)

// identity is the client's key and certificate.
type identity struct {
	*watched[tls.Certificate]

	warnMu     sync.Mutex // guards the fields below
	lastReason string     // of the last logged warning
	lastIssuer string     // of the certificate in that warning
}

// choose returns the certificate or, as Java does, an empty one if the server does not accept it.
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
		i.warn(err.Error(), c.Leaf.Issuer.String(),
			"store", s.description,
			"certificate", c.Leaf.Subject.String(),
			"issuers that the server takes", strings.Join(texts, "; "))
		return &tls.Certificate{}, nil
	}
	return &c, nil
}

// warn logs that no certificate is sent, once for consecutive equal reasons and issuers: crypto/tls has the same reason
// for all foreign issuers.
func (i *identity) warn(reason, issuer string, args ...any) {
	i.warnMu.Lock()
	defer i.warnMu.Unlock()
	if reason == i.lastReason && issuer == i.lastIssuer {
		return
	}
	i.lastReason = reason
	i.lastIssuer = issuer
	i.log.Warn("the server does not accept the key store's certificate; sending none",
		append(args, "issuer", issuer, "reason", reason)...)
}
