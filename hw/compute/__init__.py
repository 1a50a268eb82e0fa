"""The compute stage: instructions analysed and issued, GEMM and ALU pipelines, the accumulator."""
