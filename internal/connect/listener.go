package connect

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/run/notify"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// notificationPath returns the path for notifications of a feed, or the prefix of all paths of a connector.
func notificationPath(connector, feed string) string {
	return "/" + escapeSegment(connector) + "/" + escapeSegment(feed)
}

// escapeSegment escapes a name as plugins do, which compare paths.
func escapeSegment(name string) string {
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

type feedHandlers struct {
	mu    sync.Mutex
	feeds map[string]notify.Handler
}

func (l *feedHandlers) set(address string, handle notify.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.feeds == nil {
		l.feeds = map[string]notify.Handler{}
	}
	l.feeds[address] = handle
}

func (l *feedHandlers) find(path string) (handle notify.Handler, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for address, handle := range l.feeds {
		if own, err := url.PathUnescape(address); err == nil && own == path {
			return handle, true
		}
	}
	return nil, false
}

func (c *connectorRun) listen(feed string, handle notify.Handler) (address string, leave func(), err error) {
	if err := c.controller.endpoint.ensureOpen(c); err != nil {
		return "", nil, err
	}
	address = notificationPath(c.config.Name, feed)
	c.set.handlers.set(address, handle)
	return address, func() { c.set.handlers.set(address, nil) }, nil
}

func (c *connectorRun) listenerSettings(roles config.Roles) (s notify.Settings, err error) {
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
	key, trust := storeLocation(roles, "keystore."), storeLocation(roles, "truststore.")
	switch {
	case key == nil && trust != nil:
		name := roles.Setting(role.ListenerTLS + "truststore.location")
		return s, &wit.Error{Kind: wit.ErrorConfig,
			Message: name + ": client certificates require TLS with the " +
				"listener's own certificate: expected " +
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

func storeLocation(roles config.Roles, kind string) *keystore.Location {
	text := func(name string) string { return roles.Text(role.ListenerTLS + kind + name) }
	if text("location") == "" {
		return nil
	}
	return &keystore.Location{Path: text("location"), Type: text("type"), Password: text("password"),
		KeyPassword: text("key-password"), Alias: text("alias")}
}
