package main

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// result is the line a timed workload prints.
type result struct {
	Ops      int64    `json:"ops"`
	Bytes    int64    `json:"bytes"`
	Seconds  float64  `json:"seconds"`
	PerSec   *float64 `json:"perSec,omitempty"`
	MBps     *float64 `json:"MBps,omitempty"`
	P50us    *float64 `json:"p50_us,omitempty"`
	P99us    *float64 `json:"p99_us,omitempty"`
	P999us   *float64 `json:"p999_us,omitempty"`
	CPUUserS float64  `json:"cpu_user_s"`
	CPUSysS  float64  `json:"cpu_sys_s"`
	RSSKiB   int64    `json:"rss_kb"`
}

// stopwatch runs from its creation.
type stopwatch struct {
	start time.Time
	usage syscall.Rusage
}

func startWatch() stopwatch {
	var w stopwatch
	syscall.Getrusage(syscall.RUSAGE_SELF, &w.usage)
	w.start = time.Now()
	return w
}

// stop returns the measurements, with the rate over operations.
func (w stopwatch) stop(ops, bytes int64, latencies []time.Duration) *result {
	r := w.read(ops, bytes)
	rate := float64(ops) / r.Seconds
	r.PerSec = &rate
	if len(latencies) > 0 {
		slices.Sort(latencies)
		p50, p99 := percentile(latencies, 500), percentile(latencies, 990)
		r.P50us, r.P99us = &p50, &p99
	}
	return r
}

// withTail adds the slowest of a thousand; the latencies must be sorted.
func (r *result) withTail(latencies []time.Duration) *result {
	p999 := percentile(latencies, 999)
	r.P999us = &p999
	return r
}

// stopBulk is stop for transfers: the rate is over bytes.
func (w stopwatch) stopBulk(ops, bytes int64) *result {
	r := w.read(ops, bytes)
	rate := float64(bytes) / 1e6 / r.Seconds
	r.MBps = &rate
	return r
}

func (w stopwatch) read(ops, bytes int64) *result {
	seconds := time.Since(w.start).Seconds()
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return &result{
		Ops:      ops,
		Bytes:    bytes,
		Seconds:  seconds,
		CPUUserS: timevalSeconds(usage.Utime) - timevalSeconds(w.usage.Utime),
		CPUSysS:  timevalSeconds(usage.Stime) - timevalSeconds(w.usage.Stime),
		RSSKiB:   residentKiB(),
	}
}

func percentile(sorted []time.Duration, permille int) float64 {
	index := (len(sorted) - 1) * permille / 1000
	return float64(sorted[index].Nanoseconds()) / 1e3
}

// readStats returns the CPU time of the process since its start, and its memory.
func readStats() map[string]any {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return map[string]any{
		"rss_kb": residentKiB(), "cpu_user_s": timevalSeconds(usage.Utime), "cpu_sys_s": timevalSeconds(usage.Stime),
	}
}

func timevalSeconds(t syscall.Timeval) float64 {
	return float64(t.Sec) + float64(t.Usec)/1e6
}

// residentKiB returns the resident set size; its peak where the system has no /proc.
func residentKiB() int64 {
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		if _, after, found := bytes.Cut(status, []byte("VmRSS:")); found {
			if kib, err := strconv.ParseInt(string(bytes.Fields(after)[0]), 10, 64); err == nil {
				return kib
			}
		}
	}
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	if runtime.GOOS == "darwin" {
		return usage.Maxrss / 1024 // Bytes on macOS, kibibytes elsewhere.
	}
	return usage.Maxrss
}
