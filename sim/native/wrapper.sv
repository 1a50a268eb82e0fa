// The core with its memory and its monitor: what cocotb sees as the design.
//
// The clock comes from main.cpp, not from Python, which sleeps until `wake` rises. At every rising edge
// one DPI call hands the AXI4 port to the memory model (memory.cpp) and takes the model's outputs back.
//
// Python drives `rst` and the register port's `s_axi_*` inputs, and sees the port's outputs. Verilator
// runs callbacks after the registers have moved, so the outputs that Python sees stand still while
// the clock is high: a driver that samples at rising edges sees what a flip-flop would.
`timescale 1ns / 1ps

module wrapper #(
    parameter int BITS = 64  // of a bus beat
) (
    input bit clk,
    output bit wake,  // the run has ended
    // Driven by Python.
    input bit rst,
    input bit [11:0] s_axi_awaddr, s_axi_araddr,
    input bit [2:0] s_axi_awprot, s_axi_arprot,
    input bit s_axi_awvalid, s_axi_wvalid, s_axi_bready, s_axi_arvalid, s_axi_rready,
    input bit [31:0] s_axi_wdata,
    input bit [3:0] s_axi_wstrb,
    // Read by Python: see above.
    output bit s_axi_awready, s_axi_wready, s_axi_bvalid, s_axi_arready, s_axi_rvalid, irq, finish,
    output bit [1:0] s_axi_bresp, s_axi_rresp,
    output bit [31:0] s_axi_rdata
);
    import "DPI-C" function void vta_bus(input int unsigned bytes);
    import "DPI-C" function void vta_axi_edge(
        input longint unsigned cycle, input int unsigned flags,
        input int unsigned araddr, input int unsigned ar_attributes,
        input int unsigned awaddr, input int unsigned aw_attributes,
        input int unsigned wstrb, input bit [BITS-1:0] wdata,
        output int unsigned outputs, output bit [BITS-1:0] rdata);
    import "DPI-C" function void vta_lite_edge(
        input longint unsigned cycle, input int unsigned flags,
        input int unsigned awaddr, input int unsigned araddr,
        input int unsigned wdata, input int unsigned wstrb, input int unsigned rdata);
    import "DPI-C" function void vta_events(
        input longint unsigned cycle, input int unsigned strobes,
        input int unsigned value_0, input int unsigned value_1, input int unsigned value_2,
        input int unsigned value_3, input int unsigned value_4, input int unsigned value_5);
    import "DPI-C" function void vta_states(
        input longint unsigned cycle, input int unsigned states);

    initial vta_bus(BITS / 8);

    // The core's copy of what is driven from outside, taken at a falling edge, and only where it
    // may have changed: all logic behind a signal that is written from outside is evaluated at each
    // step of time, and the whole core is behind the reset.
    typedef struct packed {
        bit rst;
        bit [11:0] awaddr;
        bit [2:0] awprot;
        bit awvalid;
        bit [31:0] wdata;
        bit [3:0] wstrb;
        bit wvalid, bready;
        bit [11:0] araddr;
        bit [2:0] arprot;
        bit arvalid, rready;
    } driven_t;
    driven_t in = '{rst: 1, default: 0};
    wire valid = s_axi_awvalid | s_axi_wvalid | s_axi_arvalid;
    wire was_valid = in.awvalid | in.wvalid | in.arvalid;
    bit changed;
    always @(negedge clk)
        if (valid | was_valid | rst != in.rst | s_axi_bready != in.bready | s_axi_rready != in.rready)
            changed <= ~changed;
    always @(edge changed) in <= {
        rst, s_axi_awaddr, s_axi_awprot, s_axi_awvalid, s_axi_wdata, s_axi_wstrb, s_axi_wvalid,
        s_axi_bready, s_axi_araddr, s_axi_arprot, s_axi_arvalid, s_axi_rready};

    // The register port's outputs, as they stand.
    bit awready, wready, bvalid, arready, rvalid, irq_now, finish_now;
    bit [1:0] bresp, rresp;
    bit [31:0] lite_rdata;

    // The memory port.
    bit m_arvalid, m_rready, m_awvalid, m_wvalid, m_wlast, m_bready;
    bit [31:0] m_araddr, m_awaddr;
    bit [7:0] m_arlen, m_awlen;
    bit [2:0] m_arsize, m_awsize, m_arprot, m_awprot;
    bit [1:0] m_arburst, m_awburst;
    bit [3:0] m_arid, m_awid, m_arcache, m_awcache;
    bit [BITS-1:0] m_wdata;
    bit [BITS/8-1:0] m_wstrb;
    int unsigned model;  // the memory model's outputs
    wire m_arready = model[0], m_awready = model[1], m_wready = model[2];
    wire m_rvalid = model[3], m_rlast = model[4], m_bvalid = model[11];
    wire [1:0] m_rresp = model[6:5], m_bresp = model[13:12];
    wire [3:0] m_rid = model[10:7], m_bid = model[17:14];
    bit [BITS-1:0] m_rdata;

    // What the stages do.
    bit [5:0] strobes;
    bit [27:0] load_start, compute_start, store_start, load_retire, compute_retire, store_retire;
    bit [3:0] fetch_state, load_state, compute_state, store_state;

    vta dut (
        .clk(clk), .rst(in.rst),
        .m_axi_araddr(m_araddr), .m_axi_arlen(m_arlen), .m_axi_arsize(m_arsize),
        .m_axi_arburst(m_arburst), .m_axi_arid(m_arid), .m_axi_arcache(m_arcache),
        .m_axi_arprot(m_arprot), .m_axi_arvalid(m_arvalid), .m_axi_arready(m_arready),
        .m_axi_rid(m_rid), .m_axi_rdata(m_rdata), .m_axi_rresp(m_rresp),
        .m_axi_rlast(m_rlast), .m_axi_rvalid(m_rvalid), .m_axi_rready(m_rready),
        .m_axi_awaddr(m_awaddr), .m_axi_awlen(m_awlen), .m_axi_awsize(m_awsize),
        .m_axi_awburst(m_awburst), .m_axi_awid(m_awid), .m_axi_awcache(m_awcache),
        .m_axi_awprot(m_awprot), .m_axi_awvalid(m_awvalid), .m_axi_awready(m_awready),
        .m_axi_wdata(m_wdata), .m_axi_wstrb(m_wstrb), .m_axi_wlast(m_wlast),
        .m_axi_wvalid(m_wvalid), .m_axi_wready(m_wready),
        .m_axi_bid(m_bid), .m_axi_bresp(m_bresp), .m_axi_bvalid(m_bvalid),
        .m_axi_bready(m_bready),
        .s_axi_awaddr(in.awaddr), .s_axi_awprot(in.awprot), .s_axi_awvalid(in.awvalid),
        .s_axi_awready(awready), .s_axi_wdata(in.wdata), .s_axi_wstrb(in.wstrb),
        .s_axi_wvalid(in.wvalid), .s_axi_wready(wready), .s_axi_bresp(bresp),
        .s_axi_bvalid(bvalid), .s_axi_bready(in.bready), .s_axi_araddr(in.araddr),
        .s_axi_arprot(in.arprot), .s_axi_arvalid(in.arvalid), .s_axi_arready(arready),
        .s_axi_rdata(lite_rdata), .s_axi_rresp(rresp), .s_axi_rvalid(rvalid),
        .s_axi_rready(in.rready),
        .irq(irq_now), .finish(finish_now),
        .event_load_start(strobes[0]), .event_load_start_index(load_start),
        .event_compute_start(strobes[1]), .event_compute_start_index(compute_start),
        .event_store_start(strobes[2]), .event_store_start_index(store_start),
        .event_load_retire(strobes[3]), .event_load_retire_index(load_retire),
        .event_compute_retire(strobes[4]), .event_compute_retire_index(compute_retire),
        .event_store_retire(strobes[5]), .event_store_retire_index(store_retire),
        .event_fetch_state(fetch_state), .event_load_state(load_state),
        .event_compute_state(compute_state), .event_store_state(store_state)
    );

    always_latch if (!clk) begin
        {s_axi_awready, s_axi_wready, s_axi_bvalid, s_axi_arready, s_axi_rvalid}
            = {awready, wready, bvalid, arready, rvalid};
        {s_axi_bresp, s_axi_rresp, s_axi_rdata} = {bresp, rresp, lite_rdata};
        {irq, finish} = {irq_now, finish_now};
    end

    // The monitor ----------------------------------------------------------------------------------
    longint unsigned cycle = 0;
    int unsigned model_next;
    bit [BITS-1:0] rdata_next;

    // StageState BUSY and BUSY_ALU are 1 and 2.
    function automatic bit is_busy(input bit [3:0] state);
        return state == 1 || state == 2;
    endfunction
    wire busy = is_busy(fetch_state) | is_busy(load_state) | is_busy(compute_state)
              | is_busy(store_state);

    always @(posedge clk) begin
        vta_axi_edge(
            cycle,
            {23'b0, busy, finish_now, in.rst, m_bready, m_wlast, m_wvalid, m_awvalid, m_rready,
             m_arvalid},
            m_araddr, {8'b0, m_arprot, m_arcache, m_arid, m_arburst, m_arsize, m_arlen},
            m_awaddr, {8'b0, m_awprot, m_awcache, m_awid, m_awburst, m_awsize, m_awlen},
            32'(m_wstrb), m_wdata, model_next, rdata_next);
        model <= model_next;
        m_rdata <= rdata_next;
        wake <= model_next[18];
        cycle <= cycle + 1;
    end

    wire lite = in.awvalid | in.wvalid | bvalid | in.arvalid | rvalid;
    bit lite_before;
    always @(posedge clk) begin
        lite_before <= lite;
        if (lite | lite_before)
            vta_lite_edge(
                cycle,
                {17'b0, rresp, bresp, in.rst, in.rready, rvalid, arready, in.arvalid,
                 in.bready, bvalid, wready, in.wvalid, awready, in.awvalid},
                32'(in.awaddr), 32'(in.araddr), in.wdata, 32'(in.wstrb), lite_rdata);
    end

    wire [15:0] states = {store_state, compute_state, load_state, fetch_state};
    bit [15:0] states_before;
    always @(posedge clk) begin
        states_before <= states;
        if (|strobes)
            vta_events(cycle, 32'(strobes), 32'(load_start), 32'(compute_start), 32'(store_start),
                       32'(load_retire), 32'(compute_retire), 32'(store_retire));
        if (model[19] && states != states_before) vta_states(cycle, 32'(states));
    end

`ifdef VTA_WAVES
    `include "decoder.svh"
`endif
`ifdef VTA_TRACE
    `include "trace.svh"
`endif
endmodule
