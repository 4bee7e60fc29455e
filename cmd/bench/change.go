package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// measureChange measures the CPU that a worker with 300 connectors takes to change one with a transform, including the
// restart of its task. All candidates run, and are changed in turns.
func measureChange(ctx context.Context, b *bench) error {
	const rows, pageSize, changesOfRound = 100, 100, 20
	connectors := b.scale(300)
	service, broker, err := b.startPeers(ctx, rows, pageSize)
	if err != nil {
		return err
	}
	defer service.stop()
	defer broker.stop()
	sides := b.candidates()
	workers := make([]*largeWorker, len(sides))
	for n, side := range sides {
		w, err := b.startLarge(ctx, side, "change-"+side.data, connectors, service, broker)
		if err != nil {
			return err
		}
		defer func() { _ = w.stop() }()
		if err := w.awaitLoads(ctx, b, connectors); err != nil {
			return fmt.Errorf("%s: %w: %.2000s", side.culvert, err, w.log.String())
		}
		workers[n] = w
	}
	var milliseconds [2][]float64
	changes := 0
	for round := -1; round < b.rounds; round++ { // round -1 creates the connectors, and does not count
		for n := range workers {
			w := workers[(n+round+1)%len(workers)]
			cpuBefore := w.cpu()
			for range changesOfRound {
				changes++
				if err := w.change(ctx, b, service.port(), changes); err != nil {
					return fmt.Errorf("%w: %.2000s", err, w.log.String())
				}
			}
			if round >= 0 {
				side := (n + round + 1) % len(workers)
				milliseconds[side] = append(milliseconds[side], 1000*(w.cpu()-cpuBefore).Seconds()/changesOfRound)
			}
		}
	}
	fmt.Printf("PUT of a connector with a transform beside %d connectors, with the restart of its task: %.0f ms CPU "+
		"(median of %d rounds of %d changes)\n", connectors, median(milliseconds[0]), b.rounds, changesOfRound)
	if b.against != "" {
		fmt.Printf("  ratio to %s: %s\n", b.against, ratioOf(milliseconds))
	}
	return nil
}

// change puts the configuration of a connector with another value of its transform, and waits until its task runs.
func (w *largeWorker) change(ctx context.Context, b *bench, servicePort string, n int) error {
	settings := map[string]string{}
	changed := smallSet
	changed.transforms = 1
	for line := range strings.Lines(connectorSettings("changed", servicePort, changed)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			settings[key] = value
		}
	}
	settings["transforms.a.static.value"] = fmt.Sprint(n)
	body, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, "PUT", w.url+"/connectors/changed/config", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	message, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if answer.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("PUT: %s %.2000s", answer.Status, message)
	}
	for range 200 {
		status, _, err := w.get(ctx, "/connectors/changed/status")
		if err == nil && strings.Count(string(status), `"RUNNING"`) == 2 { // the connector and its task
			return nil
		}
		if err := b.wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the changed connector does not run")
}
