package transport

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/transport/session"
)

const logoffTimeout = 2 * time.Second

// logoff ends sessions at the service and waits for it. It sends nothing without a path or in a maintenance window.
func (d *destination) logoff(sessions []*session.Session) {
	if d.config.LogoffPath == "" || !d.limits.Window().IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), logoffTimeout)
	defer cancel()
	var wg sync.WaitGroup
	slots := make(chan struct{}, defaultConcurrent) // requests at a time
	for _, s := range sessions {
		cookies := s.Cookies(d.config.LogoffPath).Header
		if !s.Opened() || cookies == "" {
			continue
		}
		wg.Go(func() {
			defer guard.Recover(d.config.Logger, "logging off a session", nil)
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := d.logoffOne(ctx, cookies); err != nil {
				d.config.Logger.Warn("a session could not be logged off; it ends by its timeout at the service",
					"origin", d.origin.String(), "error", err)
			}
		})
	}
	wg.Wait()
}

// trim ends idle sessions above limit. It logs them off in the background.
func (d *destination) trim(limit int) {
	surplus := d.sessions.Trim(limit)
	if len(surplus) == 0 {
		return
	}
	go func() {
		defer guard.Recover(d.config.Logger, "logging off sessions", nil)
		defer d.sessions.Ended(len(surplus))
		d.logoff(surplus)
	}()
}

// logoffOne ends the session of cookies. It sends no password, which could open a new session.
func (d *destination) logoffOne(ctx context.Context, cookies string) error {
	h := http.Header{"Cookie": {cookies}, "User-Agent": {"culvert"}}
	for name, value := range d.config.Headers {
		if d.config.Auth != AuthHeader || slices.Contains(publicHeaders, name) { // others log on
			h.Set(name, value)
		}
	}
	line := d.config.LogoffPath
	if d.config.ClientInQuery {
		client := url.Values{}
		for name, value := range d.config.Headers {
			if slices.Contains(publicHeaders, name) && value != "" {
				client.Set(name, value)
			}
		}
		line = addQuery(line, client)
	}
	r := (&http.Request{Method: http.MethodGet, URL: d.urlOf(line), Host: d.origin.authority(), Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	response, err := d.roundTrip(r)
	if err != nil {
		return err
	}
	d.config.Logger.Debug("session logged off", "origin", d.origin.String(), "status", response.StatusCode)
	response.Body.Close()
	if response.StatusCode == http.StatusForbidden { // services other than SAP's respond with 404
		return fmt.Errorf("%s returned 403: activate it in transaction SICF", d.config.LogoffPath)
	}
	return nil
}
