package connect

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
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

// listens holds the paths of a connector at the listener. They stay while the connector is there: a sender who comes
// while a task is away is asked to send again.
type listens struct {
	mu    sync.Mutex
	doors map[string]*listened
}

type listened struct {
	mu    sync.Mutex
	take  notify.Handler // nil while the task is away
	close func()
}

func (l *listened) handle(ctx context.Context, n wit.Notification) error {
	l.mu.Lock()
	take := l.take
	l.mu.Unlock()
	if take == nil {
		return notify.ErrBusy
	}
	return take(ctx, n)
}

func (l *listened) set(take notify.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.take = take
}

// listen has notifications for a feed taken, see [source.Options].
func (c *connector) listen(feed string, take notify.Handler) (address string, leave func(), err error) {
	c.set.listens.mu.Lock()
	defer c.set.listens.mu.Unlock()
	address = addressOf(c.config.Name, feed)
	l := c.set.listens.doors[address]
	if l == nil {
		l = &listened{close: func() {}}
		if c.o.Group != nil {
			err = c.controller.front.open(c)
		} else {
			l.close, err = c.register(address, l.handle, c.set.listens.doors == nil)
		}
		if err != nil {
			return "", nil, err
		}
		if c.set.listens.doors == nil {
			c.set.listens.doors = map[string]*listened{}
		}
		c.set.listens.doors[address] = l
	}
	l.set(take)
	return address, func() { l.set(nil) }, nil
}

// register has the listener hand notifications on for an address; warns: it is said where anybody may send some.
func (c *connector) register(address string, handle notify.Handler, warns bool) (close func(), err error) {
	roles := c.roles()
	settings, err := c.listener(roles)
	if err != nil {
		return nil, err
	}
	if _, close, err = c.o.hub.Register(address, settings, handle); err != nil {
		ports := roles.Setting(role.ListenerPorts)
		return nil, &wit.Fault{Kind: wit.FaultConfig, Message: ports + ": " + err.Error(), Setting: &ports}
	}
	if warns && settings.Anybody() {
		c.log.Warn("whoever reaches the listener may send notifications: have senders log on, or show a "+
			"certificate over TLS", "user", roles.Setting(role.ListenerUser),
			"password", roles.Setting(role.ListenerPassword),
			"certificates", roles.Setting(role.ListenerTLS+"truststore.location"))
	}
	return close, nil
}

// closeAll closes all paths of the connector.
func (l *listens) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, door := range l.doors {
		door.close()
	}
	l.doors = nil
}

// listener is what the connector's settings say about its listener.
func (c *connector) listener(roles config.Roles) (s notify.Settings, err error) {
	for _, text := range config.List(roles.Text(role.ListenerPorts)) {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			name := roles.Setting(role.ListenerPorts)
			return s, &wit.Fault{Kind: wit.FaultConfig,
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
		return s, &wit.Fault{Kind: wit.FaultConfig,
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
