package keystore

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// A DKS store is a text file that names other stores (java.security.DomainLoadStoreParameter):
//
//	domain NAME [property="value" ...] {
//	    keystore NAME [property="value" ...];
//	    ...
//	};
//
// Properties of the domain are defaults for its stores. keystoreType, keystoreURI, keystorePasswordEnv and
// entryNameSeparator do what they do in Java; keystoreProviderName chooses between Java's implementations of one format
// and has nothing to choose here.
var dksProperties = map[string]string{
	"keystoretype": "keystoreType", "keystoreuri": "keystoreURI", "keystoreprovidername": "keystoreProviderName",
	"keystorepasswordenv": "keystorePasswordEnv", "entrynameseparator": "entryNameSeparator",
}

const (
	maxDKSStores = 100
	dksSeparator = " "
)

type dksDomain struct {
	name       string
	properties map[string]string // by name in small letters
	stores     []dksStore
}

type dksStore struct {
	name       string
	properties map[string]string // with those of the domain below them
}

// splitDomain takes "file#domain" apart, and "file:///path#domain". A file whose name has the # in it is found first.
func splitDomain(path string) (file, domain string) {
	if _, err := os.Stat(path); err == nil {
		return path, ""
	}
	if i := strings.LastIndexByte(path, '#'); i >= 0 {
		path, domain = path[:i], path[i+1:]
	}
	if local, err := dksPath(path); err == nil {
		path = local
	}
	return path, domain
}

// readDKS reads the stores of one domain: the one that the location names, else the first.
func (s *Store) readDKS(content []byte, name string) error {
	domains, err := parseDKS(string(content))
	if err != nil {
		return s.unreadable(err)
	}
	domain := domains[0]
	if name != "" {
		found := false
		var names []string
		for _, d := range domains {
			names = append(names, d.name)
			if !found && strings.EqualFold(d.name, name) {
				domain, found = d, true
			}
		}
		if !found {
			return s.names.errorf(FieldLocation, nil, "%s has no domain %q; it has %s", s.description, name, quoted(names))
		}
	}
	for _, d := range domain.stores {
		if err := s.addDKSStore(domain.name, d); err != nil {
			return err
		}
	}
	return nil
}

// addDKSStore opens one store and takes its entries over, with its name before theirs.
func (s *Store) addDKSStore(domain string, d dksStore) error {
	inner := &Store{names: s.names, location: s.location, budget: s.budget}
	where := fmt.Sprintf("keystore %s of domain %s in %s", d.name, domain, s.description)
	if env, ok := d.properties["keystorepasswordenv"]; ok {
		if inner.location.Password = os.Getenv(env); inner.location.Password == "" {
			return s.names.errorf(FieldLocation, nil,
				"%s takes its password from the environment variable %s (keystorePasswordEnv), which is not set", where,
				env)
		}
	}
	path, err := dksPath(d.properties["keystoreuri"])
	if err != nil {
		return s.names.errorf(FieldLocation, err, "%s: keystoreURI: %v", where, err)
	}
	want := kind("")
	if t := d.properties["keystoretype"]; t != "" {
		if want, err = parseKind(strings.ToLower(t)); err == nil && want == kindDKS {
			err = errors.New("a DKS store cannot be part of another one")
		}
		if err != nil {
			return s.names.errorf(FieldLocation, err, "%s: keystoreType: %v", where, err)
		}
	}
	if err := inner.readDomainStore(path, want); err != nil {
		return withDKSContext(err, where)
	}
	separator := dksSeparator
	if p, ok := d.properties["entrynameseparator"]; ok {
		separator = p
	}
	for _, e := range inner.entries {
		e.inner, e.alias = e.alias, d.name+separator+e.alias
		s.entries = append(s.entries, e)
	}
	s.files = append(s.files, inner.files...)
	return nil
}

// readDomainStore reads a store that a domain names, which is no domain itself.
func (s *Store) readDomainStore(path string, want kind) error {
	if want == kindPKCS11 {
		return s.readPKCS11(path, s.location.Password)
	}
	content, err := ReadFile(path)
	if err != nil {
		return s.names.errorf(FieldLocation, err, "cannot be read: %v", err)
	}
	s.files = []string{path}
	if is, _ := detectKind(content); is == kindDKS {
		return s.names.errorf(FieldLocation, nil, "%s is a DKS file, which cannot be part of another one", path)
	}
	return s.readContent(path, "", content, want)
}

// withDKSContext says where in the domain an error was met.
func withDKSContext(err error, where string) error {
	if f, ok := errors.AsType[*Error](err); ok {
		return &Error{Setting: f.Setting, Text: f.Text + " (" + where + ")", Err: err}
	}
	return err
}

// dksPath is the file of a keystoreURI: a plain path, or file:///path with percent escapes.
func dksPath(uri string) (string, error) {
	if uri == "" {
		return "", errors.New("is not set")
	}
	if !strings.HasPrefix(uri, "file:") {
		return uri, nil
	}
	u, err := url.Parse(uri)
	if err != nil {
		return "", err
	}
	if u.Path == "" || u.Host != "" && u.Host != "localhost" {
		return "", fmt.Errorf("%s is not a local file, expected a path or file:///path", uri)
	}
	return filepath.FromSlash(u.Path), nil
}
