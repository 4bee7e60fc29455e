package kafka

import "sync"

// administering is a client that asks and creates, with how many share it.
type administering struct {
	*Admin
	users int
}

// SharedAdmin is [NewAdmin] with the client of all administrators that were opened with the same key and whose
// configuration was made of the same one: the key is to tell apart what differs in their settings. The last one to be
// closed ends the client.
func (c Config) SharedAdmin(key, clientID string) (*Admin, error) {
	if c.Admin.ClientID == "" {
		c.Admin.ClientID = clientID
	}
	if c.shared == nil {
		return NewAdmin(c)
	}
	root := c.shared.root()
	root.opening.Lock()
	defer root.opening.Unlock()
	client := root.administering[key]
	if client == nil {
		admin, err := NewAdmin(c)
		if err != nil {
			return nil, err
		}
		client = &administering{Admin: admin}
		if root.administering == nil {
			root.administering = map[string]*administering{}
		}
		root.administering[key] = client
	}
	client.users++
	own := *client.Admin
	own.release = sync.OnceFunc(func() {
		root.opening.Lock()
		client.users--
		last := client.users == 0
		if last {
			delete(root.administering, key)
		}
		root.opening.Unlock()
		if last {
			client.Close()
		}
	})
	return &own, nil
}
