package sampling

import (
	"context"
	"fmt"
	"net/http"

	"github.com/culvert-project/culvert/internal/chaintest"
	"github.com/culvert-project/culvert/internal/rest"
)

// TestFile returns a file for culvert test with the rows of a sample and the results of the chain. settings are the
// chain's settings in the file. Rows that are too large are left out.
func (s *Sampler) TestFile(ctx context.Context, connector, id string, c chaintest.Chain,
	settings map[string]string) ([]byte, error) {
	sample, rows, err := s.find(connector, id)
	if err != nil {
		return nil, err
	}
	reject := func(status int, format string, args ...any) error {
		return &rest.Refusal{Status: status, Message: "Cannot create a test from the sample: " +
			fmt.Sprintf(format, args...)}
	}
	switch {
	case sample.Show != rest.RecordsFull:
		return nil, reject(http.StatusForbidden, "it has no values")
	case len(c.Stages) == 0:
		return nil, reject(http.StatusConflict, "there are no transforms")
	}
	ctx, cancel := context.WithTimeout(ctx, computeTimeout)
	defer cancel()
	chain, err := c.Open(ctx, connector+" (samples)", discardLog)
	if err != nil {
		return nil, reject(http.StatusConflict, "%v", err)
	}
	defer chain.Close()
	file := chaintest.Writer{Registry: s.registry, Strike: s.redact}
	count := 0
	for i := range rows {
		r := &rows[i]
		if r.batch == nil {
			continue
		}
		batch, outcome, err := runChain(ctx, chain, r)
		if err == nil {
			err = file.Add(ctx, r.batch.CopyRow(0), batch, &outcome)
		}
		if err != nil {
			return nil, reject(http.StatusConflict, "row %d: %v", i+1, err)
		}
		count++
	}
	if count == 0 {
		return nil, reject(http.StatusConflict, "it has no rows yet")
	}
	return file.File("rows of connector "+connector, settings)
}
