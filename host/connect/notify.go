package connect

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/run/notify"
	"github.com/culvert-project/culvert/host/keystore"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// addressOf is the path under which notifications for a feed of a connector come; without a feed, what all of the
// connector's begin with.
func addressOf(connector, feed string) string {
	return "/" + segment(connector) + "/" + segment(feed)
}

// segment is a name as plugins write one in a path, too, so that they know addresses again.
func segment(name string) string {
	var b []byte
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~'!*", c) >= 0:
			b = append(b, c)
		default:
			b = fmt.Appendf(b, "%%%02X", c)
		}
	}
	return string(b)
}

// listens holds the handlers of notifications for a connector's feeds, by their paths at the listener. A handler is nil
// while its task is away: the sender is then asked to send again.
type listens struct {
	mu    sync.Mutex
	feeds map[string]notify.Handler
}

func (l *listens) set(address string, take notify.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.feeds == nil {
		l.feeds = map[string]notify.Handler{}
	}
	l.feeds[address] = take
}

// taker returns the handler for a path, nil while no task has one. known reports whether a task has, or had, the path.
func (l *listens) taker(path string) (take notify.Handler, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for address, take := range l.feeds {
		if own, err := url.PathUnescape(address); err == nil && own == path {
			return take, true
		}
	}
	return nil, false
}

// listen registers a handler of notifications for a feed, see [source.Options].
func (c *connector) listen(feed string, take notify.Handler) (address string, leave func(), err error) {
	if err := c.controller.front.open(c); err != nil {
		return "", nil, err
	}
	address = addressOf(c.config.Name, feed)
	c.set.listens.set(address, take)
	return address, func() { c.set.listens.set(address, nil) }, nil
}

// listener is what the connector's settings say about its listener.
func (c *connector) listener(roles config.Roles) (s notify.Settings, err error) {
	for _, text := range config.List(roles.Text(role.ListenerPorts)) {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			name := roles.Setting(role.ListenerPorts)
			return s, &wit.Error{Kind: wit.ErrorConfig,
				Message: fmt.Sprintf("%s: expected ports from 1 to 65535, found %q", name, text), Setting: &name}
		}
		s.Ports = append(s.Ports, int(port))
	}
	s.Address, s.User, s.Password = roles.Text(role.ListenerAddress), roles.Text(role.ListenerUser),
		roles.Text(role.ListenerPassword)
	key, trust := storeOf(roles, "keystore."), storeOf(roles, "truststore.")
	switch {
	case key == nil && trust != nil:
		name := roles.Setting(role.ListenerTLS + "truststore.location")
		return s, &wit.Error{Kind: wit.ErrorConfig,
			Message: name + ": certificates of senders are asked for by TLS only, which needs the " +
				"listener's own: expected " +
				cmp.Or(roles.Setting(role.ListenerTLS+"keystore.location"), "a key store"), Setting: &name}
	case key == nil:
		return s, nil
	}
	s.Identity = fmt.Sprintf("%q %q %q", key.Path, key.Type, key.Alias)
	senders := tls.NoClientCert
	if trust != nil {
		senders = tls.RequireAndVerifyClientCert
		s.Identity += fmt.Sprintf(" %q %q", trust.Path, trust.Type)
	}
	s.TLS, err = keystore.ServerTLS(keystore.Options{Key: key, Trust: trust, Logger: c.log,
		Name: func(field string) string { return cmp.Or(roles.Setting(role.ListenerTLS+field), field) }}, senders)
	return s, err
}

// storeOf is a store of the listener, nil where the settings name none.
func storeOf(roles config.Roles, kind string) *keystore.Location {
	text := func(name string) string { return roles.Text(role.ListenerTLS + kind + name) }
	if text("location") == "" {
		return nil
	}
	return &keystore.Location{Path: text("location"), Type: text("type"), Password: text("password"),
		KeyPassword: text("key-password"), Alias: text("alias")}
}
