// Package keystore opens the stores of keys and certificates that Java programs are configured with (JKS, JCEKS,
// PKCS12, DKS, PKCS11) and PEM files, and makes TLS configurations of them that follow the files when they change.
//
// Every file is taken as hostile: a length is compared with what is left before anything of that size is allocated, and
// the work of a password based cipher is bounded. The containers are read here because the libraries refuse files that
// keytool and openssl write; jks.go and pkcs12.go name them.
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

// Location says where a store is and how to open it.
type Location struct {
	// file; "file#domain" for dks; for pkcs11 the module, "module#token label", or SunPKCS11's configuration file
	Path        string
	PEM         []byte // PEM text instead of a file
	Content     []byte // what would be in the file, instead of it
	Type        string // jks, jceks, pkcs12, dks, pem, pkcs11, or the same in capital letters; "" = by content
	Password    string // must be given, except for PEM
	KeyPassword string // "" = Password
	Alias       string // the entry to use; needed only when several keys fit
}

// maxFileBytes is the size in bytes up to which a store is read; Java's own trust store has 0.2 MB.
const maxFileBytes = 16 << 20

// Store is a store that was read. Its keys are decrypted when they are asked for.
type Store struct {
	location    Location
	names       settingNames
	description string // "JKS file /etc/client.jks"
	entries     []entry
	files       []string   // what it was read from
	budget      *kdfBudget // what it may still cost
}

type entryKind int

const (
	trustedEntry entryKind = iota
	keyEntry
	secretEntry
)

func (k entryKind) String() string {
	return [...]string{"trusted certificate", "key", "secret key"}[k]
}

// entry is one of a store. Of a key the chain begins with its own certificate.
type entry struct {
	alias   string
	inner   string // of an entry in a domain: its alias in its own store
	kind    entryKind
	chain   []*x509.Certificate
	certErr error                             // why a certificate of it cannot be read
	recover func() (crypto.PrivateKey, error) // its work is done once
}

// open reads a store. Errors are of type [*Error] and name the field of Location to mend, by n.
func open(ctx context.Context, l Location, n settingNames) (*Store, error) {
	s := &Store{location: l, names: n, budget: newKDFBudget(ctx)}
	want := kind("")
	if l.Type != "" {
		var err error
		if want, err = parseKind(l.Type); err != nil {
			return nil, n.errorf(FieldType, nil, "%v", err)
		}
	}
	if l.PEM != nil {
		if want != "" && want != kindPEM {
			return nil, n.errorf(FieldType, nil, "%s, but the keys or certificates are given as PEM text: write pem",
				want)
		}
		s.description = "the PEM text"
		return s, s.readPEM(l.PEM, FieldPEM)
	}
	if l.Content != nil {
		// Whoever gives content, such as a destination service, does not choose files of this machine.
		if is, _ := detectKind(l.Content); is == kindDKS || is == kindPKCS11 {
			return nil, n.errorf(FieldLocation, nil, "a %s names other files and cannot be given inline", nounOf(is))
		}
		return s, s.readContent("that is given inline", "", l.Content, want)
	}
	if l.Path == "" {
		return nil, n.errorf(FieldLocation, nil, "is not set")
	}
	if want == kindPKCS11 {
		return s, s.readPKCS11(l.Path, l.Password)
	}
	return s, s.readFile(want)
}

func (s *Store) readFile(want kind) error {
	path, domain := s.location.Path, ""
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

// readContent reads a file's content, which must be what was wanted.
func (s *Store) readContent(path, domain string, content []byte, want kind) error {
	is, what := detectKind(content)
	if is == "" {
		return s.names.errorf(FieldLocation, nil, "%s is %s, expected %s", path, what, orAny(want))
	}
	if want != "" && !want.accepts(is) {
		return s.names.errorf(FieldType, nil, "%s, but %s is a %s", want, path, nounOf(is))
	}
	s.description = nounOf(is) + " " + path
	if s.location.Password == "" && is != kindPEM && is != kindDKS {
		return s.names.errorf(FieldPassword, nil,
			"is not set: a %s is not opened without a password, whether it has one or not", nounOf(is))
	}
	switch is {
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

func orAny(want kind) string {
	if want == "" {
		return "a key store (JKS, JCEKS, PKCS12, DKS) or PEM"
	}
	return "a " + nounOf(want)
}

func nounOf(k kind) string { return strings.ToUpper(string(k)) + " file" }

// ReadFile reads a file of secrets, a key store, a key, a token, of at most [maxFileBytes]; what is no file is not
// opened: it may never end.
func ReadFile(path string) ([]byte, error) {
	f, _, err := wholefile.Open(path)
	if isError[*wholefile.NotRegular](err) {
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

// Roots returns the certificates that the store trusts.
func (s *Store) Roots() (*x509.CertPool, error) {
	trusted, err := s.trusted()
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range trusted {
		pool.AddCert(c)
	}
	return pool, nil
}

// trusted lists the trusted certificates and, as Java does, the own ones of keys. One that cannot be read does no harm
// while there are others: there are stores with certificates in them that no standard allows.
func (s *Store) trusted() ([]*x509.Certificate, error) {
	var trusted []*x509.Certificate
	var broken []string
	known := map[string]bool{} // a certificate may stand for itself and for its key
	for _, e := range s.entries {
		switch {
		case e.certErr != nil:
			broken = append(broken, fmt.Sprintf("%q cannot be read (%v)", e.alias, e.certErr))
		case e.kind != secretEntry && len(e.chain) > 0 && !known[string(e.chain[0].Raw)]:
			known[string(e.chain[0].Raw)] = true
			trusted = append(trusted, e.chain[0])
		}
	}
	if len(trusted) > 0 {
		return trusted, nil
	}
	text := "it holds " + s.contents()
	if broken != nil {
		text += "; " + strings.Join(broken, ", ")
	}
	return nil, s.names.errorf(FieldLocation, nil, "%s holds no trusted certificate; %s", s.description, text)
}

// contents describes the entries by name.
func (s *Store) contents() string {
	if len(s.entries) == 0 {
		return "nothing"
	}
	const most = 10
	var texts []string
	for _, e := range s.entries[:min(most, len(s.entries))] {
		texts = append(texts, fmt.Sprintf("%q (%s)", e.alias, e.kind))
	}
	if n := len(s.entries) - most; n > 0 {
		texts = append(texts, fmt.Sprintf("%d more", n))
	}
	return strings.Join(texts, ", ")
}

func quoted(all []string) string {
	var texts []string
	for _, a := range all {
		texts = append(texts, fmt.Sprintf("%q", a))
	}
	return strings.Join(texts, ", ")
}

// keyPassword is the password of keys: their own, or the store's.
func (s *Store) keyPassword() string {
	if s.location.KeyPassword != "" {
		return s.location.KeyPassword
	}
	return s.location.Password
}

// wrongPassword is the error for a store that does not open.
func (s *Store) wrongPassword() error {
	return s.names.errorf(FieldPassword, errPassword, "wrong password for %s (or the file is damaged)", s.description)
}

// unreadable is the error for a file that is not what its beginning says.
func (s *Store) unreadable(err error) error {
	return s.names.errorf(FieldLocation, err, "%s cannot be read: %v", s.description, err)
}
