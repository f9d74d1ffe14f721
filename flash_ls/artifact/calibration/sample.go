// Package telemetry receives readings from field sensors over HTTP,
// batches them and writes them to the database.
package telemetry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxBodyBytes  = 1 << 20
	flushInterval = 5 * time.Second
	batchSize     = 256
)

var (
	ErrUnknownSensor = errors.New("telemetry: unknown sensor")
	ErrQueueFull     = errors.New("telemetry: queue full")
)

const insertReading = `
	INSERT INTO readings (sensor_id, kind, value, taken_at)
	VALUES ($1, $2, $3, $4)
	ON CONFLICT (sensor_id, taken_at) DO NOTHING`

// Kind says what a sensor measures.
type Kind uint8

const (
	KindTemperature Kind = iota + 1
	KindHumidity
	KindPressure
)

func (k Kind) String() string {
	switch k {
	case KindTemperature:
		return "temperature"
	case KindHumidity:
		return "humidity"
	case KindPressure:
		return "pressure"
	default:
		return "kind(" + strconv.Itoa(int(k)) + ")"
	}
}

// Reading is one measurement as the devices send it.
type Reading struct {
	SensorID string    `json:"sensor_id"`
	Kind     Kind      `json:"kind"`
	Value    float64   `json:"value"`
	TakenAt  time.Time `json:"taken_at"`
}

func (r Reading) validate() error {
	switch {
	case strings.TrimSpace(r.SensorID) == "":
		return ErrUnknownSensor
	case math.IsNaN(r.Value) || math.IsInf(r.Value, 0):
		return fmt.Errorf("sensor %s: value %v out of range", r.SensorID, r.Value)
	case r.TakenAt.After(time.Now().Add(time.Minute)):
		return fmt.Errorf("sensor %s: timestamp %s is in the future", r.SensorID, r.TakenAt.Format(time.RFC3339))
	}
	return nil
}

// Number is any type that Summarize can average.
type Number interface {
	~int | ~int64 | ~float32 | ~float64
}

// Summary holds simple statistics of a window of values.
type Summary struct {
	Count  int     `json:"count"`
	Mean   float64 `json:"mean"`
	Median float64 `json:"median"`
	StdDev float64 `json:"std_dev,omitempty"`
}

// Summarize computes the statistics of xs without modifying it.
func Summarize[T Number](xs []T) Summary {
	n := len(xs)
	if n == 0 {
		return Summary{}
	}
	sorted := make([]float64, n)
	var sum float64
	for i, x := range xs {
		sorted[i] = float64(x)
		sum += float64(x)
	}
	sort.Float64s(sorted)
	mean := sum / float64(n)
	var variance float64
	for _, x := range sorted {
		variance += (x - mean) * (x - mean)
	}
	median := sorted[n/2]
	if n%2 == 0 {
		median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return Summary{Count: n, Mean: mean, Median: median, StdDev: math.Sqrt(variance / float64(n))}
}

// Collector queues readings and flushes them in batches.
type Collector struct {
	db     *sql.DB
	logger *slog.Logger
	queue  chan Reading

	mu     sync.RWMutex
	latest map[string]Reading
}

func NewCollector(db *sql.DB, logger *slog.Logger) *Collector {
	return &Collector{
		db:     db,
		logger: logger,
		queue:  make(chan Reading, 4*batchSize),
		latest: make(map[string]Reading),
	}
}

// Run flushes the queue until ctx is cancelled.
func (c *Collector) Run(ctx context.Context) error {
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()

	batch := make([]Reading, 0, batchSize)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r := <-c.queue:
			batch = append(batch, r)
			if len(batch) < batchSize {
				continue
			}
		case <-ticker.C:
		}
		if err := c.flush(ctx, batch); err != nil {
			c.logger.Error("flush failed", "err", err, "pending", len(batch))
			continue
		}
		batch = batch[:0]
	}
}

func (c *Collector) flush(ctx context.Context, batch []Reading) error {
	if len(batch) == 0 {
		return nil
	}
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	for _, r := range batch {
		if _, err := tx.ExecContext(ctx, insertReading, r.SensorID, r.Kind.String(), r.Value, r.TakenAt.UTC()); err != nil {
			return fmt.Errorf("insert %s: %w", r.SensorID, err)
		}
	}
	return tx.Commit()
}

func (c *Collector) enqueue(r Reading) error {
	if err := r.validate(); err != nil {
		return err
	}
	select {
	case c.queue <- r:
	default:
		return ErrQueueFull
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if prev, ok := c.latest[r.SensorID]; !ok || prev.TakenAt.Before(r.TakenAt) {
		c.latest[r.SensorID] = r
	}
	return nil
}

// ServeHTTP accepts a JSON array of readings.
func (c *Collector) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	var readings []Reading
	body := http.MaxBytesReader(w, req.Body, maxBodyBytes)
	if err := json.NewDecoder(body).Decode(&readings); err != nil {
		http.Error(w, "bad request: "+err.Error(), http.StatusBadRequest)
		return
	}
	for _, r := range readings {
		if err := c.enqueue(r); errors.Is(err, ErrQueueFull) {
			w.Header().Set("Retry-After", "5")
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		} else if err != nil {
			c.logger.Warn("reading rejected", "err", err)
		}
	}
	w.WriteHeader(http.StatusAccepted)
}
