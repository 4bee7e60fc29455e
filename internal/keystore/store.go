// Package keystore reads Java key stores (JKS, JCEKS, PKCS12, DKS, PKCS11) and PEM files, and creates TLS
// configurations that reload them when the files change.
//
// Files are untrusted: lengths are checked before allocation, and key derivations are bounded. The formats are decoded
// here because libraries reject files that keytool and openssl write; see jks.go and pkcs12.go.
package keystore

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"strings"

	"github.com/culvert-project/culvert/internal/base/wholefile"
)

// Location specifies a store and how to open it.
type Location struct {
	// Path is a file; "file#domain" for dks; for pkcs11 a module, "module#token label", or SunPKCS11's configuration.
	Path        string
	PEM         []byte // PEM text in place of a file
	Content     []byte // a file's content in place of a file
	Type        string // see parseKind; empty means detected
	Password    string // required, except for PEM
	KeyPassword string // empty means Password
	Alias       string // the entry to use; required if several keys match
}

// maxFileBytes bounds a store; Java's own trust store has 0.2 MB.
const maxFileBytes = 16 << 20

// Store is an open store. Keys are decrypted when they are needed.
type Store struct {
	location    Location
	names       settingNames
	description string // as in "JKS file /etc/client.jks"
	entries     []entry
	files       []string   // the files that were read
	budget      *kdfBudget // for its key derivations
}

type entryKind int

const (
	trustedEntry entryKind = iota
	keyEntry
	secretEntry
)

func (k entryKind) String() string { return [...]string{"trusted certificate", "key", "secret key"}[k] }

// entry is an entry of a store. The chain of a key begins with its own certificate.
type entry struct {
	alias   string
	inner   string // for DKS: the alias in the inner store
	kind    entryKind
	chain   []*x509.Certificate
	certErr error                             // the error of reading its certificates
	recover func() (crypto.PrivateKey, error) // decrypts the key, once
}

// open reads a store. Errors are of type [*Error].
func open(ctx context.Context, location Location, names settingNames) (*Store, error) {
	store := &Store{location: location, names: names, budget: newKDFBudget(ctx)}
	want := kind("")
	if location.Type != "" {
		var err error
		if want, err = parseKind(location.Type); err != nil {
			return nil, names.errorf(FieldType, nil, "%v", err)
		}
	}
	if location.PEM != nil {
		if want != "" && want != kindPEM {
			return nil, names.errorf(FieldType, nil, "%s, but keys or certificates are PEM text: use pem", want)
		}
		store.description = "the PEM text"
		return store, store.readPEM(location.PEM, FieldPEM)
	}
	if location.Content != nil {
		// Content may come from a destination service, which must not choose files of this machine.
		if detected, _ := detectKind(location.Content); detected == kindDKS || detected == kindPKCS11 {
			return nil, names.errorf(FieldLocation, nil, "a %s refers to other files and cannot be inline",
				nounOf(detected))
		}
		return store, store.readContent("(inline content)", "", location.Content, want)
	}
	if location.Path == "" {
		return nil, names.errorf(FieldLocation, nil, "is not set")
	}
	if want == kindPKCS11 {
		return store, store.readPKCS11(location.Path, location.Password)
	}
	return store, store.readFile(want)
}

func (s *Store) readFile(want kind) error {
	path := s.location.Path
	domain := ""
	if want == "" || want == kindDKS {
		path, domain = splitDomain(path)
	}
	content, err := ReadFile(path)
	if err != nil {
		return s.names.errorf(FieldLocation, err, "cannot be read: %v", err)
	}
	s.files = []string{path}
	return s.readContent(path, domain, content, want)
}

// readContent reads a file's content, which must be of the kind want, if set.
func (s *Store) readContent(path, domain string, content []byte, want kind) error {
	detected, found := detectKind(content)
	if detected == "" {
		expected := "a key store (JKS, JCEKS, PKCS12, DKS) or PEM"
		if want != "" {
			expected = "a " + nounOf(want)
		}
		return s.names.errorf(FieldLocation, nil, "%s is %s, expected %s", path, found, expected)
	}
	if want != "" && !want.isCompatible(detected) {
		return s.names.errorf(FieldType, nil, "%s, but %s is a %s", want, path, nounOf(detected))
	}
	s.description = nounOf(detected) + " " + path
	if s.location.Password == "" && detected != kindPEM && detected != kindDKS {
		return s.names.errorf(FieldPassword, nil,
			"is not set: a %s requires a password here, even if it has none", nounOf(detected))
	}
	switch detected {
	case kindJKS, kindJCEKS:
		return s.readJKS(content)
	case kindPKCS12:
		return s.readPKCS12(content)
	case kindDKS:
		return s.readDKS(content, domain)
	case kindPKCS11:
		return s.readPKCS11(path, s.location.Password)
	}
	return s.readPEM(content, FieldLocation)
}

func nounOf(k kind) string { return strings.ToUpper(string(k)) + " file" }

// ReadFile reads a key store or another file of secrets of at most 16 MiB. It does not open devices and pipes.
func ReadFile(path string) ([]byte, error) {
	f, _, err := wholefile.Open(path)
	if isError[*wholefile.NotRegularError](err) {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(content) > maxFileBytes {
		err = fmt.Errorf("%s has more than %d MiB", path, maxFileBytes>>20)
	}
	return content, err
}

// Roots returns a pool of [Store.trustedCertificates]. An empty pool is an error.
func (s *Store) Roots() (*x509.CertPool, error) {
	trusted, err := s.trustedCertificates()
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range trusted {
		pool.AddCert(c)
	}
	return pool, nil
}

// trustedCertificates returns trusted certificates and, like Java, those of keys. It fails if all are unreadable.
func (s *Store) trustedCertificates() ([]*x509.Certificate, error) {
	var trusted []*x509.Certificate
	var unreadable []string
	seen := map[string]bool{} // by DER: a certificate may have an entry of its own and belong to a key
	for _, e := range s.entries {
		switch {
		case e.certErr != nil:
			unreadable = append(unreadable, fmt.Sprintf("%q cannot be read (%v)", e.alias, e.certErr))
		case e.kind != secretEntry && len(e.chain) > 0 && !seen[string(e.chain[0].Raw)]:
			seen[string(e.chain[0].Raw)] = true
			trusted = append(trusted, e.chain[0])
		}
	}
	if len(trusted) > 0 {
		return trusted, nil
	}
	detail := "it holds " + s.contents()
	if unreadable != nil {
		detail += "; " + strings.Join(unreadable, ", ")
	}
	return nil, s.names.errorf(FieldLocation, nil, "%s holds no trusted certificate; %s", s.description, detail)
}

// contents lists the first entries for messages.
func (s *Store) contents() string {
	if len(s.entries) == 0 {
		return "nothing"
	}
	const maxEntries = 10
	var texts []string
	for _, e := range s.entries[:min(maxEntries, len(s.entries))] {
		texts = append(texts, fmt.Sprintf("%q (%s)", e.alias, e.kind))
	}
	if n := len(s.entries) - maxEntries; n > 0 {
		texts = append(texts, fmt.Sprintf("%d more", n))
	}
	return strings.Join(texts, ", ")
}

func quoted(names []string) string {
	var texts []string
	for _, a := range names {
		texts = append(texts, fmt.Sprintf("%q", a))
	}
	return strings.Join(texts, ", ")
}

func (s *Store) keyPassword() string {
	if s.location.KeyPassword != "" {
		return s.location.KeyPassword
	}
	return s.location.Password
}

func (s *Store) wrongPassword() error {
	return s.names.errorf(FieldPassword, errPassword, "wrong password for %s (or the file is damaged)", s.description)
}

func (s *Store) unreadable(err error) error {
	return s.names.errorf(FieldLocation, err, "%s cannot be read: %v", s.description, err)
}
