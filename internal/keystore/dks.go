package keystore

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// A DKS store is a text file that lists other stores (java.security.DomainLoadStoreParameter):
//
//	domain NAME [property="value" ...] {
//	    keystore NAME [property="value" ...];
//	    ...
//	};
//
// Properties of the domain are defaults for its stores, with Java's meaning. keystoreProviderName is ignored.

// dksProperties has Java's names of the properties by their names in lower case, because their case is ignored.
var dksProperties = map[string]string{
	"keystoretype":         "keystoreType",
	"keystoreuri":          "keystoreURI",
	"keystoreprovidername": "keystoreProviderName",
	"keystorepasswordenv":  "keystorePasswordEnv",
	"entrynameseparator":   "entryNameSeparator",
}

const (
	maxDKSStores     = 100
	defaultSeparator = " "
)

// dksDomain is a domain of a DKS file.
type dksDomain struct {
	name       string
	properties map[string]string // by name in lower case
	stores     []dksStore
}

type dksStore struct {
	name       string
	properties map[string]string // including the domain's
}

// splitDomain splits "file#domain" and "file:///path#domain", unless there is a file with # in its name.
func splitDomain(path string) (file, domain string) {
	if _, err := os.Stat(path); err == nil {
		return path, ""
	}
	if i := strings.LastIndexByte(path, '#'); i >= 0 {
		domain = path[i+1:]
		path = path[:i]
	}
	if local, err := dksPath(path); err == nil {
		path = local
	}
	return path, domain
}

// readDKS reads the stores of a domain, by default the first.
func (s *Store) readDKS(content []byte, name string) error {
	domains, err := parseDKS(string(content))
	if err != nil {
		return s.unreadable(err)
	}
	domain := domains[0]
	if name != "" {
		isListed := false
		var names []string
		for _, d := range domains {
			names = append(names, d.name)
			if !isListed && strings.EqualFold(d.name, name) {
				domain = d
				isListed = true
			}
		}
		if !isListed {
			return s.names.errorf(FieldLocation, nil, "%s has no domain %q; it has %s", s.description, name,
				quoted(names))
		}
	}
	for _, d := range domain.stores {
		if err := s.addDKSStore(domain.name, d); err != nil {
			return err
		}
	}
	return nil
}

// addDKSStore reads a store of a domain and adds its entries.
func (s *Store) addDKSStore(domain string, listed dksStore) error {
	inner := &Store{names: s.names, location: s.location, budget: s.budget}
	context := fmt.Sprintf("keystore %s of domain %s in %s", listed.name, domain, s.description)
	if env, ok := listed.properties["keystorepasswordenv"]; ok {
		if inner.location.Password = os.Getenv(env); inner.location.Password == "" {
			return s.names.errorf(FieldLocation, nil,
				"%s reads its password from the environment variable %s (keystorePasswordEnv), which is not set",
				context, env)
		}
	}
	path, err := dksPath(listed.properties["keystoreuri"])
	if err != nil {
		return s.names.errorf(FieldLocation, err, "%s: keystoreURI: %v", context, err)
	}
	wantKind := kind("")
	if t := listed.properties["keystoretype"]; t != "" {
		if wantKind, err = parseKind(strings.ToLower(t)); err == nil && wantKind == kindDKS {
			err = errors.New("a DKS store cannot contain another one")
		}
		if err != nil {
			return s.names.errorf(FieldLocation, err, "%s: keystoreType: %v", context, err)
		}
	}
	if err := inner.readDomainStore(path, wantKind); err != nil {
		if f, ok := errors.AsType[*Error](err); ok {
			return &Error{Setting: f.Setting, Text: f.Text + " (" + context + ")", Err: err}
		}
		return err
	}
	separator := defaultSeparator
	if p, ok := listed.properties["entrynameseparator"]; ok {
		separator = p
	}
	for _, e := range inner.entries { // whose aliases get the store's name as a prefix
		e.inner = e.alias
		e.alias = listed.name + separator + e.alias
		s.entries = append(s.entries, e)
	}
	s.files = append(s.files, inner.files...)
	return nil
}

// readDomainStore reads the file or token of a store, which must be of the kind wantKind, if set.
func (s *Store) readDomainStore(path string, wantKind kind) error {
	if wantKind == kindPKCS11 {
		return s.readPKCS11(path, s.location.Password)
	}
	content, err := ReadFile(path)
	if err != nil {
		return s.names.errorf(FieldLocation, err, "cannot be read: %v", err)
	}
	s.files = []string{path}
	if detected, _ := detectKind(content); detected == kindDKS {
		return s.names.errorf(FieldLocation, nil, "%s is a DKS file, which a DKS store cannot contain", path)
	}
	return s.readContent(path, "", content, wantKind)
}

// dksPath converts a keystoreURI, a path or file:///path, to a path.
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
	if u.Path == "" || (u.Host != "" && u.Host != "localhost") {
		return "", fmt.Errorf("%s is not a local file, expected a path or file:///path", uri)
	}
	return filepath.FromSlash(u.Path), nil
}
