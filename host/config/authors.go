package config

import "fmt"

// Authors are who wanted connectors to be as they are, as far as this worker was asked, kept in a file. An author
// counts as long as the connector's configuration and target state are those that were asked for. All methods may be
// called at any time.
type Authors struct{ *noted[author] }

type author struct {
	By string `json:"by"`
	// Of is the digest of the configuration, as it was written, and the target state.
	Of string `json:"of"`
}

// OpenAuthors reads the file, which need not be there; "" keeps all in memory.
func OpenAuthors(path string) (*Authors, error) {
	k, err := openNoted[author]("who wanted connectors", path)
	if err != nil {
		return nil, fmt.Errorf("%w (without the file nobody is named)", err)
	}
	return &Authors{k}, nil
}

// Set notes who wanted a connector to be as it is now.
func (a *Authors) Set(c *Connector, target, by string) error {
	of := wantedAs(c, target)
	return a.change(func(next map[string]author) { next[c.Name] = author{by, of} })
}

// Of is who wanted it; "" where nobody knows.
func (a *Authors) Of(c *Connector, target string) string {
	if one, there := a.get(c.Name); there && one.Of == wantedAs(c, target) {
		return one.By
	}
	return ""
}

// Forget forgets a connector that was removed.
func (a *Authors) Forget(name string) error { return a.forget(name) }

func wantedAs(c *Connector, target string) string {
	text := []byte(target)
	for _, e := range c.Entries {
		text = append(append(append(append(text, 0), e.Key...), 0), e.Raw...)
	}
	return digest(string(text))
}
