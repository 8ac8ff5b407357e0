import CommandLineSupport
import Metrics
import Testing

/// The text that Prometheus reads.
@Suite struct PrometheusMetricsTests {
    private let metrics = PrometheusMetrics(help: ["app.requests": "All\nrequests, \\ included."])

    private func lines(of name: String) -> [String] {
        metrics.text.split(separator: "\n").map(String.init).filter { $0.contains(name) }
    }

    @Test func `counters and gauges have a help, a type, and escaped labels`() {
        let counter = Counter(label: "app.requests", dimensions: [("out-come", "a \"b\"\\\n")], factory: metrics)
        counter.increment()
        counter.increment(by: 2)
        Gauge(label: "app.left", factory: metrics).record(0.25)
        let meter = Meter(label: "app.held", factory: metrics)
        meter.increment()
        meter.increment()
        meter.decrement()
        #expect(
            metrics.text == """
                # TYPE app_held gauge
                app_held 1
                # TYPE app_left gauge
                app_left 0.25
                # HELP app_requests All\\nrequests, \\\\ included.
                # TYPE app_requests counter
                app_requests{out_come="a \\"b\\"\\\\\\n"} 3

                """)
    }

    @Test func `a timer is a histogram in seconds with cumulative buckets`() {
        let timer = Timer(label: "app.wait", dimensions: [("recipe", "mutex")], factory: metrics)
        for nanoseconds in [0, 1_000_000, 40_000_000, 200_000_000_000_000] { timer.recordNanoseconds(nanoseconds) }
        let found = lines(of: "app_wait")
        #expect(found.first == "# TYPE app_wait_seconds histogram")
        for line in [
            "app_wait_seconds_bucket{recipe=\"mutex\",le=\"0.001\"} 2",
            "app_wait_seconds_bucket{recipe=\"mutex\",le=\"0.025\"} 2",
            "app_wait_seconds_bucket{recipe=\"mutex\",le=\"0.05\"} 3",
            "app_wait_seconds_bucket{recipe=\"mutex\",le=\"86400\"} 3",
            "app_wait_seconds_bucket{recipe=\"mutex\",le=\"+Inf\"} 4",
            "app_wait_seconds_sum{recipe=\"mutex\"} 200000.041",
            "app_wait_seconds_count{recipe=\"mutex\"} 4",
        ] { #expect(found.contains(line), "\(line)") }
        Timer(label: "app.hold.seconds", factory: metrics).recordSeconds(1)
        #expect(lines(of: "app_hold").last == "app_hold_seconds_count 1")
    }

    @Test func `a recorder is a histogram of numbers, without values that are none`() {
        let recorder = Recorder(label: "app.queue", factory: metrics)
        for value in [0, 3, .nan, .infinity] as [Double] { recorder.record(value) }
        let found = lines(of: "app_queue")
        #expect(found.contains("app_queue_bucket{le=\"0\"} 1") && found.contains("app_queue_bucket{le=\"5\"} 2"))
        #expect(found.suffix(2) == ["app_queue_sum +Inf", "app_queue_count 3"])
    }

    @Test func `the same name and labels are one series, and a name has one type`() {
        Counter(label: "app.a", dimensions: [("x", "1")], factory: metrics).increment()
        Counter(label: "app.a", dimensions: [("x", "1")], factory: metrics).increment()
        Gauge(label: "app.a", dimensions: [("x", "2")], factory: metrics).record(7)
        Timer(label: "app.a", factory: metrics).recordSeconds(1)
        #expect(lines(of: "app_a{") == ["app_a{x=\"1\"} 2"])
        #expect(lines(of: "app_a_seconds_count") == ["app_a_seconds_count 1"])
    }

    @Test func `the number of series is limited, and the others are not recorded`() {
        for number in 0..<PrometheusMetrics.maximumSeries + 10 {
            Counter(label: "app.many", dimensions: [("n", "\(number)")], factory: metrics).increment()
        }
        #expect(lines(of: "app_many{").count == PrometheusMetrics.maximumSeries)
        Counter(label: "app.many", dimensions: [("n", "0")], factory: metrics).increment()
        #expect(lines(of: "app_many{n=\"0\"}") == ["app_many{n=\"0\"} 2"])
    }

    @Test func `values that are recorded at the same time are all counted`() async {
        let (metrics, rounds) = (metrics, 1000)
        await withDiscardingTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    let timer = Timer(label: "app.t", factory: metrics)
                    for _ in 0..<rounds {
                        Counter(label: "app.c", factory: metrics).increment()
                        timer.recordSeconds(1)
                        Meter(label: "app.m", factory: metrics).increment()
                    }
                }
                group.addTask { for _ in 0..<20 { #expect(!metrics.text.contains("nan")) } }
            }
        }
        let found = lines(of: " 4000")
        for name in ["app_c", "app_m", "app_t_seconds_count", "app_t_seconds_sum"] {
            #expect(found.contains("\(name) 4000"), "\(name)")
        }
    }
}
