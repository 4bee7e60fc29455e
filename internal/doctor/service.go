package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// command is the plugin command with its own steps: without option it returns their names as a JSON list, with option
// step the result {"ok":…,"setting":…,"message":…}.
const command = "doctor"

// Service checks the BTP destination, if any, the proxy, the connection to the service, and then the plugin's steps.
func (d *Diagnosis) Service(ctx context.Context, tool *check.Tool) {
	tool.DisableRetries()
	var config transport.Config
	name := "settings of the service"
	if target := tool.Target(); target != "" {
		name = "destination " + target
	}
	if !d.runStep(name, func() (message string, err error) {
		config, err = tool.Destination(ctx)
		return config.Scheme + "://" + net.JoinHostPort(config.Address, strconv.Itoa(config.Port)), err
	}) {
		return
	}
	probe, err := newRoute(config.Route.Settings)
	if err != nil {
		d.record("settings of the proxy", 0, "", err)
		return
	}
	if d.checkProxy(ctx, probe) {
		from := source{tool.Setting(role.Address), "Check the host and port, and that no firewall blocks them"}
		if tool.Target() != "" {
			from.setting = tool.Setting(role.Destination)
		}
		d.connectService(ctx, probe, &config, from)
	}
	if d.OK() {
		d.pluginSteps(ctx, tool)
	}
}

// connectService connects to the service, unless an HTTP proxy does.
func (d *Diagnosis) connectService(ctx context.Context, probe *routeProbe, c *transport.Config, from source) {
	address := net.JoinHostPort(c.Address, strconv.Itoa(c.Port))
	if p := probe.route.HTTPProxy(); p != nil {
		proxy, err := p.URL(&http.Request{URL: &url.URL{Scheme: c.Scheme, Host: address}})
		if err == nil && proxy != nil && (c.Scheme == "http" || probe.route.Type() != route.HTTP) {
			return
		}
	}
	limit := c.ConnectTimeout
	if limit == 0 {
		limit = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, 3*limit)
	defer cancel()
	conn := d.connect(ctx, probe, address, from)
	if conn == nil {
		return
	}
	config := c.ServerTLS()
	if c.Scheme != "https" {
		config = nil
	} else if config == nil {
		config = &tls.Config{}
	}
	if conn = d.handshake(ctx, conn, address, config, c.Explain); conn != nil {
		conn.Close()
	}
}

func (d *Diagnosis) pluginSteps(ctx context.Context, tool *check.Tool) {
	commands, err := tool.Commands(ctx)
	if err != nil {
		d.record("plugin", 0, "", err)
		return
	}
	var names []string
	for _, c := range commands {
		if c.Name != command {
			continue
		}
		document, err := tool.Document(ctx, command, nil)
		if err == nil {
			err = json.Unmarshal([]byte(document), &names)
		}
		if err != nil {
			d.record("plugin", 0, "", err)
			return
		}
	}
	for _, name := range names {
		start := time.Now()
		initial := tool.Counters()
		message, err := runPluginStep(ctx, tool, name)
		switch current := tool.Counters(); {
		case err != nil: // a failed step needs no note about tokens
		case current.Tokens > initial.Tokens:
			message += "; the service issues CSRF tokens"
		case current.NoTokens > initial.NoTokens:
			message += "; the service issues no CSRF token, which is fine if it requires none"
		}
		if !d.record(name, time.Since(start), message, err) {
			return
		}
	}
}

func runPluginStep(ctx context.Context, tool *check.Tool, name string) (message string, err error) {
	document, err := tool.Document(ctx, command, []wit.Setting{{Name: "step", Value: name}})
	var f *wit.Error
	if errors.As(err, &f) { // without the command's name in front
		if f.Kind == wit.ErrorUnauthorized && f.Setting == nil {
			from := tool.Setting(role.User)
			if tool.Target() != "" {
				from = tool.Setting(role.Destination)
			}
			return "", &hintError{from, "", errors.New(strings.TrimPrefix(err.Error(), command+": "))}
		}
		return "", f
	}
	if err != nil {
		return "", err
	}
	var found struct {
		OK      bool
		Setting string
		Message string
	}
	if err := json.Unmarshal([]byte(document), &found); err != nil {
		return "", fmt.Errorf("the plugin's answer about %s: %w", name, err)
	}
	if !found.OK {
		return "", &hintError{found.Setting, "", errors.New(found.Message)}
	}
	return found.Message, nil
}
