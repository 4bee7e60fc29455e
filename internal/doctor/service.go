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

// stepCommand is the plugin command with the plugin's own steps. Without options it returns their names as a JSON list,
// with the option step it runs this step and returns {"ok":…,"setting":…,"message":…}.
const stepCommand = "doctor"

// Service checks the BTP destination, if any, the proxy and the connection to the service, and then runs the plugin's
// steps. It stops at the first failure and turns the tool's retries off.
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
		addressSource := source{setting: tool.Setting(role.Address),
			hint: "Check the host and port, and that no firewall blocks them"}
		if tool.Target() != "" {
			addressSource.setting = tool.Setting(role.Destination)
		}
		d.connectService(ctx, probe, &config, addressSource)
	}
	if d.OK() {
		d.runPluginSteps(ctx, tool)
	}
}

// connectService checks the connection and TLS, unless an HTTP proxy without a tunnel connects to the service.
func (d *Diagnosis) connectService(ctx context.Context, probe *routeProbe, config *transport.Config,
	addressSource source) {
	address := net.JoinHostPort(config.Address, strconv.Itoa(config.Port))
	if p := probe.route.HTTPProxy(); p != nil {
		proxy, err := p.URL(&http.Request{URL: &url.URL{Scheme: config.Scheme, Host: address}})
		isTunnel := config.Scheme != "http" && probe.route.Type() == route.HTTP
		if err == nil && proxy != nil && !isTunnel {
			return
		}
	}
	connectTimeout := config.ConnectTimeout
	if connectTimeout == 0 {
		connectTimeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, 3*connectTimeout) // for the proxy, the service and TLS
	defer cancel()
	conn := d.connect(ctx, probe, address, addressSource)
	if conn == nil {
		return
	}
	tlsConfig := config.ServerTLS()
	if config.Scheme != "https" {
		tlsConfig = nil
	} else if tlsConfig == nil {
		tlsConfig = &tls.Config{}
	}
	if conn = d.handshake(ctx, conn, address, tlsConfig, config.Explain); conn != nil {
		conn.Close()
	}
}

// runPluginSteps runs and reports the steps of the plugin, if it has the command.
func (d *Diagnosis) runPluginSteps(ctx context.Context, tool *check.Tool) {
	commands, err := tool.Commands(ctx)
	if err != nil {
		d.record("plugin", 0, "", err)
		return
	}
	var names []string
	for _, command := range commands {
		if command.Name != stepCommand {
			continue
		}
		document, err := tool.Document(ctx, stepCommand, nil)
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
		previous := tool.Counters()
		message, err := runPluginStep(ctx, tool, name)
		switch current := tool.Counters(); {
		case err != nil:
			// a failed step needs no note about tokens
		case current.Tokens > previous.Tokens:
			message += "; the service issues CSRF tokens"
		case current.NoTokens > previous.NoTokens:
			message += "; the service issues no CSRF token, which is fine if it requires none"
		}
		if !d.record(name, time.Since(start), message, err) {
			return
		}
	}
}

// runPluginStep runs a step of the plugin. The error names the setting to fix if it is known.
func runPluginStep(ctx context.Context, tool *check.Tool, name string) (message string, err error) {
	document, err := tool.Document(ctx, stepCommand, []wit.Setting{{Name: "step", Value: name}})
	var pluginErr *wit.Error
	if errors.As(err, &pluginErr) { // both results omit the prefix with the command's name
		if pluginErr.Kind == wit.ErrorUnauthorized && pluginErr.Setting == nil {
			setting := tool.Setting(role.User)
			if tool.Target() != "" {
				setting = tool.Setting(role.Destination)
			}
			return "", &hintError{setting, "", errors.New(strings.TrimPrefix(err.Error(), stepCommand+": "))}
		}
		return "", pluginErr
	}
	if err != nil {
		return "", err
	}
	var result struct {
		OK      bool
		Setting string
		Message string
	}
	if err := json.Unmarshal([]byte(document), &result); err != nil {
		return "", fmt.Errorf("the plugin's answer about %s: %w", name, err)
	}
	if !result.OK {
		return "", &hintError{result.Setting, "", errors.New(result.Message)}
	}
	return result.Message, nil
}
