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
	"github.com/culvert-project/culvert/internal/resolved"
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

// feedHandlers holds the handlers of a source's notifications by address. A nil handler means that the feed has ended.
type feedHandlers struct {
	mu    sync.Mutex
	feeds map[string]notify.Handler
}

func (h *feedHandlers) set(address string, handler notify.Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.feeds == nil {
		h.feeds = map[string]notify.Handler{}
	}
	h.feeds[address] = handler
}

// find returns the handler of an unescaped path. isKnown is true for feeds that have ended, too.
func (h *feedHandlers) find(path string) (handler notify.Handler, isKnown bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for address, handler := range h.feeds {
		if unescaped, err := url.PathUnescape(address); err == nil && unescaped == path {
			return handler, true
		}
	}
	return nil, false
}

// listen opens the endpoint, and passes notifications of a feed to handler until stop is called.
func (run *connectorRun) listen(feed string, handler notify.Handler) (address string, stop func(), err error) {
	if err := run.controller.endpoint.ensureOpen(run); err != nil {
		return "", nil, err
	}
	address = notificationPath(run.config.Name, feed)
	run.taskSet.handlers.set(address, handler)
	return address, func() { run.taskSet.handlers.set(address, nil) }, nil
}

func (run *connectorRun) listenerSettings(roles resolved.Roles) (settings notify.Settings, err error) {
	for _, number := range config.List(roles.Text(role.ListenerPorts)) {
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || port == 0 {
			name := roles.Setting(role.ListenerPorts)
			return settings, &wit.Error{Kind: wit.ErrorConfig,
				Message: fmt.Sprintf("%s: expected ports from 1 to 65535, found %q", name, number), Setting: &name}
		}
		settings.Ports = append(settings.Ports, int(port))
	}
	settings.Address = roles.Text(role.ListenerAddress)
	settings.User = roles.Text(role.ListenerUser)
	settings.Password = roles.Text(role.ListenerPassword)
	key := keyStoreLocation(roles, "keystore.")
	trust := keyStoreLocation(roles, "truststore.")
	switch {
	case key == nil && trust != nil:
		name := roles.Setting(role.ListenerTLS + "truststore.location")
		return settings, &wit.Error{Kind: wit.ErrorConfig, Message: name +
			": client certificates require TLS with the listener's own certificate: expected " +
			cmp.Or(roles.Setting(role.ListenerTLS+"keystore.location"), "a key store"), Setting: &name}
	case key == nil:
		return settings, nil
	}
	settings.Identity = fmt.Sprintf("%q %q %q", key.Path, key.Type, key.Alias)
	clientAuth := tls.NoClientCert
	if trust != nil {
		clientAuth = tls.RequireAndVerifyClientCert
		settings.Identity += fmt.Sprintf(" %q %q", trust.Path, trust.Type)
	}
	settings.TLS, err = keystore.ServerTLS(keystore.Options{Key: key, Trust: trust, Logger: run.log,
		Name: func(field string) string { return cmp.Or(roles.Setting(role.ListenerTLS+field), field) }}, clientAuth)
	return settings, err
}

func keyStoreLocation(roles resolved.Roles, kind string) *keystore.Location {
	get := func(name string) string { return roles.Text(role.ListenerTLS + kind + name) }
	if get("location") == "" {
		return nil
	}
	return &keystore.Location{Path: get("location"), Type: get("type"), Password: get("password"),
		KeyPassword: get("key-password"), Alias: get("alias")}
}
